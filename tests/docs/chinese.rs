//! How the Chinese pages are written: one term per concept, and spaces and punctuation as readers expect them.

use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn chinese_pages_use_one_term_per_concept() {
    let mut found = Vec::new();
    for page in pages().iter().filter(|page| !page.ends_with("glossary.md")) {
        for line in prose(page).lines() {
            let instead =
                INSTEAD.iter().filter(|(words, _)| words.split(' ').any(|word| line.contains(word)));
            found.extend(
                instead.map(|(words, term)| format!("{}: {term}, not {words}: {line}", page.display())),
            );
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn chinese_sentences_have_full_width_punctuation_and_a_space_beside_latin_words() {
    let mut found = Vec::new();
    for page in pages() {
        for line in prose(&page).lines() {
            let chars: Vec<char> = line.chars().collect();
            if let Some(at) = chars.windows(2).position(is_badly_joined) {
                let near: String = chars[at.saturating_sub(10)..chars.len().min(at + 10)].iter().collect();
                found.push(format!("{}: {near}", page.display()));
            }
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

/// A browser shows a line break as a space, which has no place between two Chinese characters.
#[test]
fn lines_of_a_chinese_paragraph_break_after_punctuation_or_beside_a_latin_word() {
    let mut found = Vec::new();
    for page in pages() {
        let text = prose(&page);
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let is_broken = |pair: &&[&str]| {
            pair[0].ends_with(is_han) && pair[1].starts_with(is_han) && !pair[0].starts_with('#')
        };
        found.extend(
            lines.windows(2).filter(is_broken).map(|pair| format!("{}: {}", page.display(), pair[0])),
        );
    }
    assert_eq!(found, Vec::<String>::new());
}

fn is_badly_joined(pair: &[char]) -> bool {
    let joined =
        |one: char, other: char| is_han(one) && (other.is_ascii_alphanumeric() || ",;:?!()".contains(other));
    joined(pair[0], pair[1]) || joined(pair[1], pair[0])
}

/// A page without its blocks of code. A span of code is one Latin letter, a link is its text.
fn prose(page: &Path) -> String {
    let (mut prose, mut in_block) = (String::new(), false);
    for line in fs::read_to_string(Path::new(ROOT).join(page)).unwrap().lines() {
        if line.starts_with("```") {
            in_block = !in_block;
        } else if !in_block {
            let parts = line.split('`').enumerate();
            let line: String = parts.map(|(at, part)| if at % 2 == 0 { part } else { "a" }).collect();
            prose += &without_links(&line).replace('*', "");
        }
        prose.push('\n');
    }
    prose
}

fn without_links(line: &str) -> String {
    let mut parts = line.split("](");
    let first = parts.next().unwrap_or_default().to_string();
    let text = parts.fold(first, |text, part| text + part.split_once(')').map_or(part, |(_, rest)| rest));
    text.replace("![", "").replace(['[', ']'], "")
}

fn is_han(c: char) -> bool {
    ('\u{4e00}'..='\u{9fff}').contains(&c)
}

/// The Chinese pages, by their paths from the root.
fn pages() -> Vec<PathBuf> {
    let top = ["README", "SECURITY", "CONTRIBUTING"];
    let mut pages: Vec<_> = top.map(|page| PathBuf::from(format!("{page}.zh-CN.md"))).into();
    for folder in ["docs/zh", "docs/zh/tutorial"] {
        for entry in fs::read_dir(Path::new(ROOT).join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            pages.extend(name.ends_with(".md").then(|| Path::new(folder).join(name)));
        }
    }
    assert!(pages.len() > 25, "{} pages", pages.len());
    pages
}

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Words that the pages do not use, and the term that stands for them.
const INSTEAD: [(&str, &str); 28] = [
    ("链接 联接", "连接"),
    ("掐断 切断", "断开, 强制断开"),
    ("有序停止 按序停止", "优雅停止"),
    ("断线续接 断线重连", "断线续连"),
    ("离开的连接", "掉线的连接"),
    ("开始钩子 启动钩子 连接钩子", "建立钩子"),
    ("停止钩子", "断开钩子"),
    ("答复 回复", "应答"),
    ("绿色线程 绿色世界 纤程", "协程"),
    ("路由器", "路由"),
    ("讯息", "消息"),
    ("载荷", "消息体"),
    ("帧头 消息头 报头", "包头"),
    ("线上的字节 通信格式 网络上的字节", "线路格式"),
    ("对方 对面", "对端"),
    ("服务端 伺服器", "服务器"),
    ("群组", "组"),
    ("反压", "背压"),
    ("界限 上界", "上限"),
    ("速率限制", "限速"),
    ("期限 逾时", "时限, 截止时间, 超时"),
    ("休息", "空闲"),
    ("缺省", "默认"),
    ("杀死 杀掉", "终止"),
    ("派生", "创建"),
    ("恐慌", "panic"),
    ("抽干", "排空"),
    ("日志器", "logger"),
];
