//! What the tables of `docs/` say is so: names are those of the code, keys and defaults those of the configuration.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::path::Path;

use zinx::Config;

#[test]
fn every_rust_name_of_the_porting_tables_is_real() {
    let sources: Vec<_> = sources(Path::new("src")).iter().map(|text| Names::of(text)).collect();
    let mut checked = 0;
    for page in PORTING.into_iter().chain(GREEN) {
        for row in rows(page, |head| head.get(1).is_some_and(|title| title == "Rust")) {
            let ours = spans(&row[1]);
            assert!(!ours.is_empty() || row[1].is_empty(), "{page}: {row:?}");
            // What is said of it names other things of ours, and things of Rust's.
            let said =
                spans(&row[2]).into_iter().filter(|name| is_name(name) && !OF_RUST.contains(&name.as_str()));
            for name in ours.into_iter().chain(said) {
                assert!(is_real(&name, &sources), "{page}: {name}");
                checked += 1;
            }
        }
    }
    assert!(checked > 200 && !is_real("get_conn_idx", &sources), "{checked}");
}

#[test]
fn every_public_name_of_gevent_and_bluelet_has_its_row_and_is_found_by_a_search() {
    let sources = sources(Path::new("src"));
    let found: HashSet<_> =
        sources.iter().flat_map(|text| aliases(text).chain(Names::of(text).declared)).collect();
    for (page, (of, names)) in GREEN.into_iter().flat_map(|page| NAMES.map(|names| (page, names))) {
        let rows = rows(page, |head| head.first().is_some_and(|title| title == of));
        for name in names.split_whitespace() {
            let is_it =
                |row: &&Vec<String>| spans(&row[0]).iter().any(|span| Names::of(span).all.contains(name));
            let rows: Vec<_> = rows.iter().filter(is_it).collect();
            assert!(!rows.is_empty(), "{page}: {name}");
            // If there is one of ours, a search in the API documentation finds it.
            let has_ours = rows.iter().any(|row| !spans(&row[1]).is_empty());
            assert!(!has_ours || found.contains(name) || name == "null", "{page}: no alias for {name}");
        }
        for row in rows {
            assert!(!row[1].is_empty() || !row[2].is_empty(), "{page}: nothing beside {}", row[0]);
        }
    }
}

#[test]
fn the_lines_of_the_demos_of_green_are_counted_right() {
    for page in GREEN {
        let mut counted = 0;
        for row in rows(page, |head| head.len() == 4 && head[1] == head[3]) {
            let demo = linked(&row[2], "demo/").unwrap_or_else(|| panic!("{page}: {row:?}"));
            assert_eq!(read(&demo).lines().count().to_string(), row[3], "{page}: {demo}");
            counted += 1;
        }
        assert_eq!(counted, 10, "{page}");
    }
}

#[test]
fn the_lines_set_beside_the_originals_are_those_of_the_demos() {
    for (page, tables_there) in PORTING.into_iter().zip([4, 1, 4, 1]) {
        let mut checked = 0;
        for (head, rows) in tables(page) {
            let program = if let Some(demo) = head.get(1).and_then(|title| linked(title, "demo/")) {
                squeeze(&read(&demo))
            } else if head.get(1).is_some_and(|title| title.ends_with("below") || title.ends_with("见下")) {
                squeeze(&rust_blocks(page))
            } else {
                continue;
            };
            for line in rows.iter().flat_map(|row| spans(&row[1])) {
                assert!(program.contains(&squeeze(&line)), "{page}: {line}");
            }
            checked += 1;
        }
        assert_eq!(checked, tables_there, "{page}");
    }
}

#[test]
fn the_python_lines_are_those_of_the_excerpts_all_of_them_in_order() {
    for page in PORTING.into_iter().filter(|page| page.contains("python")) {
        let mut shown = BTreeSet::new();
        for (head, rows) in tables(page) {
            let Some(excerpt) = linked(&head[0], "tests/data/") else { continue };
            let lines: Vec<String> = rows.iter().flat_map(|row| spans(&row[0])).collect();
            let expected: Vec<_> = read(&excerpt)
                .lines()
                .filter(|line| !line.trim().is_empty())
                .map(|line| line.trim_end().to_string())
                .collect();
            assert_eq!(lines, expected, "{page}: {excerpt}");
            for row in &rows {
                assert!(!row[1].is_empty() || !row[2].is_empty(), "{page}: nothing beside {}", row[0]);
            }
            shown.insert(excerpt);
        }
        let all = fs::read_dir(Path::new(ROOT).join("tests/data")).unwrap();
        let all =
            all.map(|entry| format!("tests/data/{}", entry.unwrap().file_name().into_string().unwrap()));
        let excerpts: BTreeSet<_> =
            all.filter(|file| file.ends_with(".py") && !file.ends_with("run_server.py")).collect();
        assert_eq!(shown, excerpts, "{page}");
    }
}

#[test]
fn every_name_that_a_porter_looks_for_has_its_row_and_leads_to_ours_in_the_api_documentation() {
    let sources = sources(Path::new("src")).concat();
    for page in PORTING.into_iter().filter(|page| page.contains("python")) {
        let named: Vec<String> = tables(page)
            .iter()
            .filter(|(head, _)| head[0] == "Python")
            .flat_map(|(_, rows)| rows.iter().flat_map(|row| spans(&row[0])))
            .collect();
        for name in OF_THE_TUTORIAL {
            assert!(named.iter().any(|span| Names::of(span).all.contains(name)), "{page}: {name}");
            assert!(sources.contains(&format!("#[doc(alias = \"{name}\")]")), "no alias for {name}");
        }
    }
}

#[test]
fn the_page_of_the_configuration_has_every_key_with_its_default() {
    // That the file has every key with its default is a test of `zconf` itself.
    let file: BTreeMap<_, _> = read("zinx.yaml").lines().filter_map(entry).collect();
    for (page, needs_kcp) in [("docs/configuration.md", "*kcp*: "), ("docs/zh/configuration.md", "*kcp*：")]
    {
        let rows = rows(page, |head| head.len() == 4);
        let told: BTreeMap<_, _> =
            rows.iter().map(|row| (spans(&row[0])[0].clone(), spans(&row[1])[0].clone())).collect();
        assert_eq!(told, file, "{page}");
        for row in rows {
            let key = &spans(&row[0])[0];
            let needs_kcp = row[3].starts_with(needs_kcp);
            assert_eq!(needs_kcp, key.starts_with("Kcp"), "{page}: {key}");
            assert_eq!(needs_kcp && cfg!(not(feature = "kcp")), has_no_effect(key), "{page}: {key}");
        }
    }
}

/// Whether a change of this key gives a warning: its feature is not built in.
fn has_no_effect(key: &str) -> bool {
    let default = Config::default();
    let values = "0 7 65536 true false other tlv_big_endian fail wait close Bind kcp 127.0.0.1:7778 0123456789abcdef \
                  10.0.0.1 redis://127.0.0.1";
    let mut changed = values
        .split(' ')
        .filter_map(|value| Config::from_yaml(&format!("{key}: {value}")).ok())
        .filter(|config| *config != default);
    !changed.next().unwrap_or_else(|| panic!("no other value for {key}")).warnings().is_empty()
}

/// `Key: value   # remark`
fn entry(line: &str) -> Option<(String, String)> {
    let (key, value) = line.split('#').next()?.split_once(':')?;
    Some((key.to_string(), value.trim().to_string()))
}

/// The rows of those tables of a page whose head is `wanted`, without their head.
fn rows(page: &str, wanted: impl Fn(&[String]) -> bool) -> Vec<Vec<String>> {
    tables(page).into_iter().filter(|(head, _)| wanted(head)).flat_map(|(_, rows)| rows).collect()
}

/// The tables of a page: the head and the rows of each.
fn tables(page: &str) -> Vec<(Vec<String>, Vec<Vec<String>>)> {
    let text = read(page);
    let mut found = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let in_table = line.starts_with('|') && lines.peek().is_some_and(|next| next.starts_with("|---"));
        if in_table {
            lines.next();
            let rows = std::iter::from_fn(|| lines.next_if(|line| line.starts_with('|')));
            found.push((cells(line), rows.map(cells).collect()));
        }
    }
    found
}

/// The other names under which the API documentation finds what a source file declares.
fn aliases(text: &str) -> impl Iterator<Item = String> {
    let lists = text.split("#[doc(alias").skip(1).filter_map(|rest| rest.split_once(")]"));
    lists.flat_map(|(list, _)| list.split('"').skip(1).step_by(2)).map(str::to_string)
}

/// The file below `folder` that a cell has a link to.
fn linked(cell: &str, folder: &str) -> Option<String> {
    let (_, link) = cell.split_once("](")?;
    let path = link.strip_suffix(')')?.trim_start_matches("../");
    path.starts_with(folder).then(|| path.to_string())
}

/// The Rust code of a page.
fn rust_blocks(page: &str) -> String {
    read(page).split("\n```").skip(1).step_by(2).filter(|block| block.starts_with("rust")).collect()
}

fn cells(row: &str) -> Vec<String> {
    row.trim_matches('|').split(" | ").map(|cell| cell.trim().to_string()).collect()
}

/// What stands between backticks.
fn spans(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(|span| span.replace("\\|", "|")).collect()
}

fn is_name(span: &str) -> bool {
    span.chars().all(|c| c.is_alphanumeric() || c == '_' || c == ':') && !span.starts_with(char::is_numeric)
}

/// Whether the code declares `name` (an item, a field, a variant); of `Type::name`, whether a file that names the type does.
fn is_real(name: &str, sources: &[Names]) -> bool {
    let (owner, name) = name.rsplit_once("::").unwrap_or(("", name));
    let mut files = sources.iter().filter(|file| owner.is_empty() || has_all_words(&file.all, owner));
    files.any(|file| file.declared.contains(name))
}

fn has_all_words(words: &HashSet<String>, path: &str) -> bool {
    path.split("::").all(|word| words.contains(word))
}

/// The names in a source file.
struct Names {
    all: HashSet<String>,
    declared: HashSet<String>,
}

impl Names {
    fn of(text: &str) -> Self {
        let (mut all, mut declared) = (HashSet::new(), HashSet::new());
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        for line in text.lines() {
            let mut before = "";
            let mut rest = line;
            while let Some(start) = rest.find(is_part) {
                let end = rest[start..].find(|c| !is_part(c)).map_or(rest.len(), |len| start + len);
                let word = &rest[start..end];
                let is_variant = line.len() - rest.len() + start == 4 && line.starts_with("    ");
                let after = &rest[end..];
                let of_variant = [",", " {", "("].iter().any(|then| after.starts_with(then));
                if DECLARED.contains(&before) && rest[..start] == *" " || is_variant && of_variant {
                    declared.insert(word.to_string());
                }
                all.insert(word.to_string());
                (before, rest) = (word, after);
            }
        }
        Self { all, declared }
    }
}

/// The text of every source file below a folder.
fn sources(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(Path::new(ROOT).join(folder)).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else {
            found.push(fs::read_to_string(path).unwrap());
        }
    }
    found
}

fn squeeze(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn read(page: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(page)).unwrap()
}

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

const PORTING: [&str; 4] = [
    "docs/porting-from-python.md",
    "docs/porting-from-go.md",
    "docs/zh/porting-from-python.md",
    "docs/zh/porting-from-go.md",
];

const GREEN: [&str; 2] = ["docs/gevent.md", "docs/zh/gevent.md"];

const NAMES: [(&str, &str); 2] = [("gevent", OF_GEVENT), ("bluelet", OF_BLUELET)];

/// The public names of bluelet's module.
const OF_BLUELET: &str = "
    Event WaitableEvent waitables fire ValueEvent ExceptionEvent SpawnEvent JoinEvent KillEvent DelegationEvent ReturnEvent
    SleepEvent time_left ReadEvent WriteEvent ThreadException reraise SUSPENDED Delegated run SocketClosedError Listener
    Connection close recv send sendall readline AcceptEvent ReceiveEvent SendEvent null spawn call end read write connect
    sleep join kill server
";

/// The public names of gevent's modules, as their `__all__` has them.
const OF_GEVENT: &str = "
    Greenlet GreenletExit Timeout config fork get_hub getcurrent getswitchinterval idle iwait joinall kill killall
    reinit setswitchinterval signal_handler sleep spawn spawn_later spawn_raw wait with_timeout
    link link_value link_exception unlink rawlink start start_later name minimal_ident
    Event AsyncResult Queue SimpleQueue JoinableQueue PriorityQueue LifoQueue Channel Empty Full ShutDown
    Semaphore BoundedSemaphore DummySemaphore RLock Condition Barrier
    Group Pool PoolFull ThreadPool ThreadResult ThreadPoolExecutor StreamServer DatagramServer
    create_connection socketpair fromfd getaddrinfo gethostbyname gethostbyaddr getnameinfo getfqdn ssl
    wait_read wait_write wait_readwrite cancel_wait select poll
    Popen PIPE STDOUT DEVNULL call check_call check_output run getoutput getstatusoutput CalledProcessError
    TimeoutExpired signal getsignal local print_run_info format_run_info GreenletTree assert_switches wrap_errors
    BackdoorServer LoopExit patch_all patch_module patch_item get_original is_module_patched is_object_patched
    WSGIServer WSGIHandler LoggingLogAdapter Environ SecureEnviron WSGISecureEnviron
    BaseServer started closed close server_host server_port set_handle set_spawn set_listener min_delay max_delay stop_timeout
    unlink_all has_links throw exc_info value exception ready successful spawn_tree_locals add_spawn_callback
    get_nowait done cancel cancelled counter locked adjust balance qsize empty full apply_cb map_cb imap_unordered
    Hub Waiter FileObject FileObjectPosix FileObjectThread nb_read nb_write tp_read tp_write make_nonblocking fork_and_watch
    DefaultSelector ContextVar Context Token copy_context subscribers EventLoopBlocked SSLContext SSLSocket Resolver
";

/// Names of the Python tutorial for which there is no type or function of that name here.
const OF_THE_TUTORIAL: [&str; 14] = [
    "IConManager",
    "ConManager",
    "NewConnManager",
    "Add",
    "Remove",
    "ClearConn",
    "StartReader",
    "StartWriter",
    "msgQueue",
    "NewConnection",
    "InitTCP",
    "GlobalGevents",
    "GlobalObject",
    "NewMessage",
];

/// What stands before a name where an item, a field or another name is declared.
const DECLARED: [&str; 9] = ["const", "fn", "struct", "enum", "trait", "type", "mod", "pub", "as"];

/// Names of the language and its library.
const OF_RUST: [&str; 18] = [
    "Arc",
    "Bytes",
    "Command",
    "Duration",
    "Mutex",
    "None",
    "Option",
    "Read",
    "Result",
    "SocketAddr",
    "Stdio",
    "String",
    "Write",
    "false",
    "join",
    "return",
    "std::thread::sleep",
    "u64",
];
