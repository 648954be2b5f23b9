//! Interceptors: the order of the chain, what it drops and changes, in servers and clients, with and without workers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::{ECHO, config, frame, start, start_alone, wait_until};
use zinx::ziface::{CloseReason, IChain, IClient, IConnection, IInterceptor, IRequest, IServer};
use zinx::{Config, Error, Result, new_client_with_config, new_message};

const TEST: u32 = 7;

/// Appends its name to the request's value `path`, and passes it on.
fn named(name: &'static str) -> impl Fn(&dyn IChain) -> Result<()> {
    move |chain| {
        let path = chain.request().get_as::<String>("path").map_or_else(String::new, |path| path.to_string());
        chain.request().set("path", Arc::new(path + name));
        chain.proceed(chain.request())
    }
}

/// A router that answers with the path.
fn path(request: &dyn IRequest) -> Result<()> {
    let path = request.get_as::<String>("path").map_or_else(String::new, |path| path.to_string());
    request.get_connection().send_msg(TEST, path)
}

/// Without workers, and with some.
fn configs() -> [Config; 2] {
    [0, 2].map(|size| {
        let mut config = config();
        config.worker_pool_size = size;
        config
    })
}

#[test]
fn interceptors_run_in_the_order_of_adding_and_dispatch_comes_last() {
    for config in configs() {
        let running = start(config, |server| {
            for name in ["a", "b", "c"] {
                server.add_interceptor(named(name)).unwrap();
            }
            server.add_router(TEST, path).unwrap();
        });
        let mut peer = running.connect();
        for _ in 0..3 {
            peer.send(&frame(TEST, b""));
            assert_eq!(peer.read_frame(), (TEST, b"abc".to_vec()));
        }
        let late = running.server.add_interceptor(named("d")).unwrap_err();
        assert!(matches!(late, Error::AlreadyStarted { .. }), "{late}");
    }
}

struct DropOdd;

impl IInterceptor for DropOdd {
    fn intercept(&self, chain: &dyn IChain) -> Result<()> {
        match chain.get_imessage().get_data().first() {
            Some(byte) if byte % 2 == 1 => Ok(()),
            _ => chain.proceed(chain.request()),
        }
    }
}

#[test]
fn a_message_that_is_not_passed_on_is_dropped_and_order_is_kept() {
    for config in configs() {
        let running = start_alone(config, |server| server.add_interceptor(DropOdd).unwrap());
        let mut peer = running.connect();
        let all: Vec<u8> = (0..100_u8).flat_map(|n| frame(ECHO, &[n])).collect();
        let even: Vec<u8> = (0..100_u8).step_by(2).flat_map(|n| frame(ECHO, &[n])).collect();
        peer.send(&all);
        assert!(peer.read_exactly(even.len()) == even);
    }
}

#[test]
fn a_message_can_be_changed_on_its_way() {
    for config in configs() {
        let running = start(config, |server| {
            let reverse = |chain: &dyn IChain| {
                if chain.get_imessage().get_msg_id() != TEST {
                    return chain.proceed(chain.request());
                }
                chain.request().set("path", Arc::new("kept".to_string()));
                let data: Vec<u8> = chain.get_imessage().get_data().iter().rev().copied().collect();
                chain.proceed_with_imessage(&new_message(TEST + 1, data), chain.request())
            };
            server.add_interceptor(reverse).unwrap();
            let answer = |request: &dyn IRequest| {
                request.get_connection().send_msg(request.get_msg_id(), request.get_data())?;
                path(request)
            };
            server.add_router(TEST + 1, answer).unwrap();
        });
        let mut peer = running.connect();
        peer.send(&frame(TEST, b"abc"));
        assert_eq!(peer.read_frame(), (TEST + 1, b"cba".to_vec()));
        assert_eq!(peer.read_frame(), (TEST, b"kept".to_vec()));
    }
}

#[test]
fn an_interceptor_goes_on_when_the_router_has_run() {
    let running = start(config(), |server| {
        let after = |chain: &dyn IChain| {
            chain.proceed(chain.request())?;
            match chain.request().get_response() {
                Some(response) => {
                    let response = response.downcast::<String>().unwrap();
                    chain.request().get_connection().send_msg(TEST, &*response)
                }
                None => Ok(()),
            }
        };
        server.add_interceptor(after).unwrap();
        let router = |request: &dyn IRequest| {
            request.set_response(Arc::new("from the router".to_string()));
            Ok(())
        };
        server.add_router(TEST, router).unwrap();
    });
    let mut peer = running.connect();
    peer.send(&frame(TEST, b""));
    assert_eq!(peer.read_frame(), (TEST, b"from the router".to_vec()));
}

#[test]
fn an_error_drops_the_message_and_a_panic_ends_only_its_connection() {
    for config in configs() {
        let running = start(config, |server| {
            let odd = |chain: &dyn IChain| match &chain.get_imessage().get_data()[..] {
                b"error" => Err(Error::other("as the test wants")),
                b"panic" => panic!("as the test wants"),
                _ => chain.proceed(chain.request()),
            };
            server.add_interceptor(odd).unwrap();
        });
        let mut peer = running.connect();
        peer.send(&frame(ECHO, b"error"));
        peer.check_echo();
        peer.send(&frame(ECHO, b"panic"));
        assert_eq!(peer.read_to_end(), b"");
        let reason = running.close_reason(peer.addr());
        assert_eq!(reason, CloseReason::HandlerPanicked { msg_id: ECHO });
    }
}

#[test]
fn a_client_has_the_same_order() {
    let running = start(config(), |_| {});
    let mut config = config();
    config.tcp_port = 0;
    let address = running.server.local_addr().unwrap();
    let client = new_client_with_config("127.0.0.1", address.port(), config).unwrap();
    let (seen, count) = (Arc::new(Mutex::new(String::new())), Arc::new(AtomicUsize::new(0)));
    for name in ["a", "b"] {
        client.add_interceptor(named(name)).unwrap();
    }
    let (noted, counted) = (Arc::clone(&seen), Arc::clone(&count));
    let note = move |request: &dyn IRequest| {
        noted.lock().unwrap().push_str(&request.get_as::<String>("path").unwrap());
        counted.fetch_add(1, Ordering::AcqRel);
        Ok(())
    };
    client.add_router_slices(ECHO, zinx::handlers![note]).unwrap();
    client.set_on_conn_start(|conn: &Arc<dyn IConnection>| conn.send_msg(ECHO, "hello"));
    client.start().unwrap();
    wait_until("the echo", || count.load(Ordering::Acquire) == 1);
    assert_eq!(*seen.lock().unwrap(), "ab");
    client.stop();
    assert!(client.wait_stopped(Duration::from_secs(10)));
}
