//! bluelet's delegation: a coroutine that calls another waits for its result. Here that is a plain call, and an
//! exception is an `Err` or, of a coroutine that was spawned, a panic that its `get` returns.
//!
//! Run it: `cargo run --example bluelet_delegation`

use zinx::green::bluelet;

fn child() -> u32 {
    println!("Child started.");
    bluelet::null();
    println!("Child resumed.");
    bluelet::null();
    println!("Child ending.");
    42
}

fn parent() {
    println!("Parent started.");
    bluelet::null();
    println!("Parent resumed.");
    let result = bluelet::call(child);
    println!("Child returned: {result}");
    println!("Parent ending.");
}

fn err_child() -> Result<(), String> {
    bluelet::null();
    Err("child failed".to_string())
}

fn err_parent() {
    if let Err(error) = bluelet::call(err_child) {
        println!("Parent caught: {error}");
    }
}

fn panic_parent() {
    let child = bluelet::spawn(|| -> u32 {
        bluelet::null();
        // As `panic!`, without the message on stderr.
        std::panic::resume_unwind(Box::new("child panicked"))
    });
    if let Err(panicked) = child.get() {
        println!("Parent caught: {panicked}");
    }
}

fn main() {
    bluelet::run(parent);
    bluelet::run(|| drop(bluelet::spawn(err_parent)));
    bluelet::run(|| drop(bluelet::spawn(panic_parent)));
}
