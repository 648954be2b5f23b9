//! The demo `world`: what players see of each other, with one worker and with two.

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use prost::Message;

use crate::common::phone::Phone;
use crate::common::random::Random;
use crate::common::{Peer, Watchdog, frame};
use crate::world_player::message::{BROAD_CAST, MOVE, Position, SYNC_PID, SYNC_PLAYERS, SyncPid, TALK};
use crate::world_player::{News, Player, World, news, web};

/// Runs a test with one worker and with two. The server must end well each time.
fn each(test: impl Fn(&World)) {
    let _watchdog = Watchdog::start(Duration::from_secs(300));
    for workers in ["1", "2"] {
        let world = World::start(workers);
        test(&world);
        world.stop();
    }
}

#[test]
fn who_enters_learns_who_is_near_and_they_learn_of_it() {
    each(|world| {
        let (mut near, mut far) = (world.player_at(184.0, 158.0), world.player_at(90.0, 390.0));
        near.catch_up();
        let mut new = world.player();
        let at = new.seen[&new.pid];
        assert!((160.0..210.0).contains(&at[0]) && (134.0..184.0).contains(&at[1]), "{at:?}");
        assert_eq!(new.seen, BTreeMap::from([(near.pid, [184.0, 158.0]), (new.pid, at)]));
        assert_eq!(near.hear(), News::IsSeen(new.pid, at));
        assert_eq!(far.catch_up(), []);
        new.walk(184.0, 158.0);
        let mut browser = Peer { stream: world.web() };
        // A browser is nobody yet, and what it asks for is not done.
        browser.send(&frame(MOVE, &Position { x: 184.0, z: 158.0, y: 0.0, v: 0.0 }.encode_to_vec()));
        browser.send(&frame(SYNC_PID, b""));
        browser.send(&frame(SYNC_PID, b""));
        let mut browser = Player::enters(browser);
        assert_eq!(browser.pid, new.pid + 1);
        assert!(browser.seen.contains_key(&new.pid) && !browser.seen.contains_key(&far.pid));
        assert_eq!(browser.catch_up(), [], "it enters once");
    });
}

#[test]
fn a_move_is_seen_by_those_who_are_near_and_by_nobody_else() {
    each(|world| {
        let (mut near, mut far) = (world.player_at(150.0, 150.0), world.player_at(150.0, 200.0));
        let mut walker = world.player_at(155.0, 155.0);
        near.catch_up();
        far.catch_up();
        // Within its cell: 149 to 181, 139 to 155.
        for x in [156.0, 157.5, 180.9] {
            walker.ask_to_walk(x, 154.5);
            let moved = News::HasMoved(walker.pid, [x, 154.5]);
            assert_eq!((near.hear(), walker.hear()), (moved.clone(), moved));
        }
        assert_eq!(far.catch_up(), []);
    });
}

#[test]
fn who_walks_into_another_cell_loses_sight_of_some_and_comes_into_the_sight_of_others() {
    each(|world| {
        // Its cells in a row: 85 to 117, 117 to 149, 149 to 181, 181 to 213.
        let places = [100.0, 130.0, 160.0, 200.0];
        let mut others = places.map(|x| world.player_at(x, 100.0));
        let mut walker = world.player_at(120.0, 100.0);
        others.iter_mut().for_each(|other| drop(other.catch_up()));
        walker.catch_up();
        let pids = others.each_ref().map(|other| other.pid);
        let sees = |walker: &Player| walker.seen.keys().copied().collect::<Vec<_>>();
        assert_eq!(sees(&walker), [&pids[..3], &[walker.pid]].concat());
        walker.ask_to_walk(149.0, 100.0);
        let at = [149.0, 100.0];
        let heard = [(); 3].map(|()| walker.hear());
        let moved = News::HasMoved(walker.pid, at);
        assert_eq!(heard, [News::Gone(pids[0]), News::IsSeen(pids[3], [200.0, 100.0]), moved.clone()]);
        assert_eq!(sees(&walker), [&pids[1..], &[walker.pid]].concat());
        let [lost, stays, also, found] = others.each_mut().map(Player::catch_up);
        assert_eq!(lost, [News::Gone(walker.pid)]);
        assert_eq!((&stays, &also), (&vec![moved.clone()], &stays));
        assert_eq!(found, [News::IsSeen(walker.pid, at), moved]);
    });
}

#[test]
fn the_last_cells_reach_to_the_edge_of_the_ground() {
    each(|world| {
        // Ten columns of 32 end at 405, twenty rows of 16 at 395. What is behind belongs to them, and not to the next row.
        let mut corner = world.player_at(410.0, 400.0);
        let (mut west, mut beside) = (world.player_at(85.0, 210.0), world.player_at(400.0, 390.0));
        let mut east = world.player_at(410.0, 200.0);
        corner.catch_up();
        assert!(corner.seen.contains_key(&beside.pid) && beside.seen.contains_key(&corner.pid));
        west.catch_up();
        assert!(!west.seen.contains_key(&east.pid) && !east.seen.contains_key(&west.pid));
        let edges =
            [(85.0, 75.0), (410.0, 75.0), (85.0, 400.0), (410.0, 400.0), (405.0, 395.0), (404.9, 394.9)];
        for (x, z) in edges {
            east.walk(x, z);
            beside.walk(x, z);
            assert_eq!(east.catch_up().last(), Some(&News::HasMoved(beside.pid, [x, z])));
            assert_eq!(beside.seen[&east.pid], [x, z]);
        }
    });
}

#[test]
fn a_place_outside_is_its_nearest_inside_and_what_is_no_place_moves_nobody() {
    each(|world| {
        let mut player = world.player();
        for (x, z, to) in
            [(1e30, 1e30, [410.0, 400.0]), (-1e30, 0.0, [85.0, 75.0]), (411.0, 300.0, [410.0, 300.0])]
        {
            player.walk(x, z);
            assert_eq!(player.seen[&player.pid], to);
        }
        for (x, z) in [(f32::NAN, 100.0), (100.0, f32::INFINITY), (f32::NEG_INFINITY, f32::NAN)] {
            player.ask_to_walk(x, z);
        }
        assert_eq!(player.catch_up(), []);
        // What cannot be read ends its connection, and nobody else's.
        let mut other = world.player_at(410.0, 300.0);
        other.peer.send(&frame(TALK, b"\xff"));
        assert_eq!(other.peer.read_to_end(), b"");
        while player.hear() != News::Gone(other.pid) {}
    });
}

#[test]
fn the_whole_world_hears_a_player_who_talks() {
    each(|world| {
        let mut players = [(85.0, 75.0), (410.0, 400.0), (250.0, 250.0)].map(|(x, z)| world.player_at(x, z));
        let mut browser = Peer { stream: world.web() };
        browser.send(&frame(SYNC_PID, b""));
        let mut browser = Player::enters(browser);
        players.iter_mut().for_each(|player| drop(player.catch_up()));
        browser.say("你好, everybody");
        let said = News::Says(browser.pid, "你好, everybody".into());
        for player in &mut players {
            while player.hear() != said {}
        }
        while browser.hear() != said {}
    });
}

#[test]
fn a_player_who_leaves_is_seen_no_more() {
    each(|world| {
        let (mut near, mut far) = (world.player_at(200.0, 200.0), world.player_at(400.0, 200.0));
        for reset in [false, true] {
            let leaver = world.player_at(205.0, 205.0);
            let pid = leaver.pid;
            near.catch_up();
            far.catch_up();
            assert!(near.seen.contains_key(&pid) && !far.seen.contains_key(&pid));
            if reset {
                leaver.peer.reset()
            } else {
                drop(leaver)
            }
            while near.hear() != News::Gone(pid) {}
            // And those who come later do not see it.
            assert!(!world.player().seen.contains_key(&pid));
            near.catch_up();
        }
        assert!(!far.catch_up().iter().any(|news| matches!(news, News::Gone(_))));
    });
}

#[test]
fn a_player_whose_socket_is_lost_stays_and_misses_nothing() {
    each(|world| {
        let address = world.websocket;
        let mut phone = Phone::open_by(move || web(address));
        phone.send(SYNC_PID, b"");
        let (id, data) = phone.receive();
        let pid = SyncPid::decode(&data[..]).unwrap().pid;
        assert_eq!((id, phone.receive().0, phone.receive().0), (SYNC_PID, BROAD_CAST, SYNC_PLAYERS));
        let place = |z: f32| Position { x: 100.0, z, y: 0.0, v: 0.0 }.encode_to_vec();
        phone.send(MOVE, &place(100.0));
        let (id, data) = phone.receive();
        assert_eq!(news(id, &data), News::HasMoved(pid, [100.0, 100.0]));
        let mut other = world.player_at(101.0, 101.0);
        assert_eq!(other.seen.keys().copied().collect::<Vec<_>>(), [pid, other.pid]);
        let mut told = Vec::new();
        for (x, reset) in [(102.0, true), (103.0, false), (104.0, true)] {
            phone.lose(reset);
            other.walk(x, 101.0);
            other.say("are you there?");
            phone.resume();
            phone.send(MOVE, &place(x));
            let back = News::HasMoved(pid, [100.0, x]);
            while other.hear() != back {}
            let said = News::Says(other.pid, "are you there?".into());
            told.extend([News::HasMoved(other.pid, [x, 101.0]), said, back]);
        }
        let heard = std::iter::repeat_with(|| phone.receive()).map(|(id, data)| news(id, &data));
        let heard: Vec<_> = heard.skip_while(|news| *news != told[0]).take(told.len()).collect();
        assert_eq!(heard, told);
        // Nobody has entered on the sockets on which it came back: the next player has the next number.
        assert_eq!(world.player().pid, other.pid + 1);
    });
}

#[test]
fn a_player_who_does_not_read_is_thrown_out_and_holds_nobody_up() {
    each(|world| {
        let deaf = world.player_at(200.0, 200.0);
        let mut talker = world.player_at(200.0, 200.0);
        let line = "x".repeat(4000);
        while talker.seen.contains_key(&deaf.pid) {
            for _ in 0..50 {
                talker.say(&line);
            }
            let mut left = 50;
            while left > 0 {
                left -= usize::from(matches!(talker.hear(), News::Says(..)));
            }
        }
        talker.walk(201.0, 200.0);
    });
}

#[test]
fn after_many_have_walked_at_once_each_sees_exactly_those_who_are_near_where_they_are() {
    each(|world| {
        const PLAYERS: usize = 12;
        let players: Vec<_> = (0..PLAYERS).map(|_| world.player()).collect();
        let over = Barrier::new(PLAYERS);
        let walked: Vec<_> = thread::scope(|scope| {
            let walks = players.into_iter().map(|player| scope.spawn(|| walk_about(player, &over, PLAYERS)));
            walks.collect::<Vec<_>>().into_iter().map(|walk| walk.join().unwrap()).collect()
        });
        let places: BTreeMap<_, _> =
            walked.iter().map(|player| (player.pid, player.seen[&player.pid])).collect();
        for player in &walked {
            let own = places[&player.pid];
            let near = places.iter().filter(|(_, place)| is_near(own, **place));
            assert_eq!(player.seen, near.map(|(pid, place)| (*pid, *place)).collect(), "{own:?}");
        }
    });
}

/// Walks at random. When all have, reads until all have said so.
fn walk_about(mut player: Player, over: &Barrier, players: usize) -> Player {
    let mut random = Random::new(player.pid.unsigned_abs().into());
    for _ in 0..300 {
        let mut place = |from: f32| from + random.below(160) as f32;
        let (x, z) = (place(85.0), place(75.0));
        player.walk(x, z);
    }
    over.wait();
    player.say("over");
    let mut left = players;
    while left > 0 {
        left -= usize::from(matches!(player.hear(), News::Says(..)));
    }
    player
}

/// Whether two places are in the same cell or in neighbours. Not as the server finds out.
fn is_near(one: [f32; 2], other: [f32; 2]) -> bool {
    let apart = |axis: usize, from: f32, size: f32, last: f32| {
        let of = |place: [f32; 2]| ((place[axis] - from) / size).floor().min(last);
        (of(one) - of(other)).abs()
    };
    apart(0, 85.0, 32.0, 9.0) <= 1.0 && apart(1, 75.0, 16.0, 19.0) <= 1.0
}
