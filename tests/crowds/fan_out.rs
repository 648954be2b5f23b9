//! What is sent to many is sent together: a reader with much to send reads once more first.

use std::io::Write;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use zinx::prelude::*;
use zinx::znet::new_func_request;

use crate::common::{Peer, Running, config, frame, start_alone};

const TELL: u32 = 2;
const TOLD: u32 = 3;

/// More than the reader takes for many.
const MEMBERS: usize = 100;

/// A server that tells all, and what its handlers have noted.
struct Crowd {
    running: Running,
    noted: Arc<Mutex<Vec<String>>>,
    members: Vec<Peer>,
    /// Of the connection that tells, and of one that is told: in the hands of the handler.
    streams: Arc<Mutex<Option<[TcpStream; 2]>>>,
}

/// The first handler lets the next frame come while it runs, and then calls `also`.
fn crowd(also: impl Fn(&dyn IRequest, &Arc<Mutex<Vec<String>>>) + Send + Sync + 'static) -> Crowd {
    let noted = Arc::<Mutex<Vec<String>>>::default();
    let streams = Arc::<Mutex<Option<[TcpStream; 2]>>>::default();
    let (notes, hands) = (Arc::clone(&noted), Arc::clone(&streams));
    let running = start_alone(config(), move |server| {
        let tell = move |request: &dyn IRequest| {
            let conn = request.get_connection();
            let mut hands = hands.lock().unwrap();
            let [teller, told] = hands.as_mut().unwrap();
            let arrived = told.peek(&mut [0; 1]).is_ok();
            notes.lock().unwrap().push(format!("{} arrived: {arrived}", request.get_data()[0]));
            conn.get_tcp_server().get_conn_mgr().range(&mut |member| {
                member.try_send_msg(TOLD, request.get_data()).unwrap();
                true
            });
            if request.get_data()[0] == 1 {
                teller.write_all(&frame(TELL, &[2])).unwrap();
                also(request, &notes);
            }
            Ok(())
        };
        server.add_router(TELL, tell).unwrap();
    });
    let mut members: Vec<_> = (0..MEMBERS).map(|_| running.connect()).collect();
    members.iter_mut().for_each(Peer::check_echo);
    let hands = [0, 1].map(|n: usize| members[n].stream.try_clone().unwrap());
    hands[1].set_nonblocking(true).unwrap();
    *streams.lock().unwrap() = Some(hands);
    Crowd { running, noted, members, streams }
}

impl Crowd {
    /// Tells, and returns what the handlers have noted once all have been told twice.
    fn tell(mut self) -> Vec<String> {
        self.members[0].send(&frame(TELL, &[1]));
        for (n, member) in self.members.iter_mut().enumerate() {
            // The one the handler looks at waits until the others are done with.
            if n != 1 {
                assert_eq!([(); 2].map(|()| member.read_frame()), [(TOLD, vec![1]), (TOLD, vec![2])]);
            }
        }
        let [_, told] = self.streams.lock().unwrap().take().unwrap();
        told.set_nonblocking(false).unwrap();
        assert_eq!([(); 2].map(|()| self.members[1].read_frame()), [(TOLD, vec![1]), (TOLD, vec![2])]);
        drop(self.running);
        std::mem::take(&mut *self.noted.lock().unwrap())
    }
}

#[test]
fn broadcasts_that_follow_each_other_leave_together() {
    let noted = crowd(|_, _| ()).tell();
    assert_eq!(noted, ["1 arrived: false", "2 arrived: false"]);
}

#[test]
fn what_a_handler_queues_runs_before_what_comes_meanwhile() {
    let noted = crowd(|request, notes| {
        let (conn, notes) = (request.get_connection(), Arc::clone(notes));
        let queued = new_func_request(conn, move || notes.lock().unwrap().push("queued".to_string()));
        conn.get_msg_handler().send_msg_to_task_queue(queued).unwrap();
    })
    .tell();
    let order: Vec<_> = noted.iter().map(|note| note.split(' ').next().unwrap()).collect();
    assert_eq!(order, ["1", "queued", "2"]);
}
