//! The pages whose Rust code `cargo test` compiles. Those that would serve forever are compiled and not run.

macro_rules! pages {
    ($($name:ident: $path:literal,)*) => {
        $(#[doc = include_str!(concat!("../", $path))] mod $name {})*
    };
}

pages! {
    readme: "README.md",
    readme_zh: "README.zh-CN.md",
    chapter_01: "docs/tutorial/01-echo.md",
    chapter_02: "docs/tutorial/02-connection.md",
    chapter_03: "docs/tutorial/03-router.md",
    chapter_04: "docs/tutorial/04-globalobj.md",
    chapter_05: "docs/tutorial/05-datapack.md",
    chapter_06: "docs/tutorial/06-msghandler.md",
    chapter_07: "docs/tutorial/07-read_write.md",
    chapter_08: "docs/tutorial/08-worker_pool.md",
    chapter_09: "docs/tutorial/09-connmanager.md",
    chapter_10: "docs/tutorial/10-hook.md",
    chapter_11: "docs/tutorial/11-property.md",
    chapter_12: "docs/tutorial/12-tls.md",
    chapter_13: "docs/tutorial/13-websocket.md",
    chapter_14: "docs/tutorial/14-kcp.md",
    ask: "docs/ask.md",
    session: "docs/session.md",
    chat: "docs/chat.md",
    cluster: "docs/cluster.md",
    resume: "docs/resume.md",
    device: "docs/device.md",
    from_python: "docs/porting-from-python.md",
    from_go: "docs/porting-from-go.md",
    gevent: "docs/gevent.md",
    multiplex: "docs/multiplex.md",
    configuration: "docs/configuration.md",
    getting_started: "docs/getting-started.md",
    faq: "docs/faq.md",
    operations: "docs/operations.md",
    safety: "docs/safety.md",
}

#[cfg(feature = "tls")]
pages! {
    transports: "docs/transports.md",
}
