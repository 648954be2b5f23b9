//! A green thread may run on the stack of one that has ended. It must not notice.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use zinx::green::{self, Event, Greenlet, Local};

static NOTE: Local<u32> = Local::new(|| 7);

/// Each way in which a green thread ends, with what it may leave behind.
fn one_that_ends(how: u32) -> Greenlet<()> {
    let never = Arc::new(Event::new());
    let greenlet = green::spawn_here(move || {
        NOTE.set(how);
        match how {
            0 => {}
            1 => panic!("on purpose"),
            2 => never.wait(),
            3 => {
                let _ = green::with_timeout(Duration::from_millis(1), || never.wait());
            }
            // Killed; it catches that, and meets it again.
            4 => {
                let _ = catch_unwind(AssertUnwindSafe(|| never.wait()));
                let _ = catch_unwind(AssertUnwindSafe(|| never.wait()));
            }
            // It is woken for nothing when it has ended.
            _ => {
                let me = green::current().expect("a green thread");
                me.on_exit(move |_| drop(never));
            }
        }
    });
    if how == 2 || how == 4 {
        green::yield_now();
        greenlet.kill();
    }
    greenlet
}

#[test]
fn whatever_ended_before_on_its_stack_a_green_thread_does_not_notice() {
    green::run(|| {
        let mut before = 0;
        for how in (0..6).cycle().take(60) {
            one_that_ends(how).join();
            let next = green::spawn_here(move || {
                let me = green::current().expect("a green thread");
                assert!(me.id() > before, "it is another");
                assert_eq!(NOTE.get(), 7, "its values are its own");
                assert!(!std::thread::panicking());
                let begun = Instant::now();
                green::sleep(Duration::from_millis(2));
                assert!(begun.elapsed() >= Duration::from_millis(2), "nothing wakes it early");
                assert!(!Event::new().wait_timeout(Duration::from_millis(1)), "and nothing interrupts it");
                me.id()
            });
            before = next.get().unwrap();
        }
    });
}

#[test]
fn many_at_once_begin_in_the_order_in_which_they_were_spawned() {
    for count in [5, 40, 200] {
        green::run(move || {
            let order = Arc::new(std::sync::Mutex::new(Vec::new()));
            for _ in 0..3 {
                order.lock().unwrap().clear();
                let threads: Vec<_> = (0..count)
                    .map(|n| {
                        let order = Arc::clone(&order);
                        green::spawn_here(move || order.lock().unwrap().push(n))
                    })
                    .collect();
                threads.iter().for_each(Greenlet::join);
                assert_eq!(*order.lock().unwrap(), Vec::from_iter(0..count));
            }
        });
    }
}
