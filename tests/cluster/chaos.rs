//! Three nodes in processes of their own, a crowd, and everything that may happen to them. After each event all is as it should be:
//! no ghost after 15 seconds, one login per user, every push answered truthfully, none doubled, gaps counted.
//!
//! Each test has one round, and short outages; with `ZINX_TEST_CHAOS=20` it has 20, and some outages last longer than a lease.

use std::time::Duration;

use rustix::process::Signal;

use crate::common::random::Random;
use crate::redis::Redis;
use crate::world::{World, chaos, is_long};

#[test]
fn a_node_is_killed() {
    chaos("chaos::a_node_is_killed", Redis::start, |world| {
        world.kill_node();
        world.hold(Duration::from_secs(1));
        world.start_node_again();
    });
}

#[test]
fn a_node_stands_still() {
    chaos("chaos::a_node_stands_still", Redis::start, |world| {
        let node = world.victim();
        world.members[node].signal(Signal::STOP);
        world.hold(shortly_or_longer_than_a_lease(world));
        world.members[node].signal(Signal::CONT);
    });
}

#[test]
fn redis_is_killed_and_its_data_is_lost() {
    chaos("chaos::redis_is_killed_and_its_data_is_lost", Redis::start, kill_redis);
}

#[test]
fn redis_is_killed_and_its_data_is_kept() {
    chaos("chaos::redis_is_killed_and_its_data_is_kept", Redis::start_with_data, kill_redis);
}

fn kill_redis(world: &mut World) {
    world.redis.kill();
    world.hold(Duration::from_secs(1));
    assert!(world.redis.run());
}

#[test]
fn redis_stands_still() {
    chaos("chaos::redis_stands_still", Redis::start, |world| {
        world.redis.pause();
        world.hold(shortly_or_longer_than_a_lease(world));
        world.redis.go_on();
    });
}

#[test]
fn links_are_cut() {
    chaos("chaos::links_are_cut", Redis::start, |world| {
        let mut random = Random::new(world.round as u64);
        for _ in 0..2 {
            for _ in 0..20 {
                world.cutters[random.below(3) as usize].cut();
                std::thread::sleep(Duration::from_millis(5 + random.below(60)));
            }
            world.hold(Duration::ZERO);
        }
        let node = world.victim();
        world.cutters[node].refuse(true);
        world.hold(shortly_or_longer_than_a_lease(world));
        world.cutters[node].refuse(false);
    });
}

#[test]
fn links_fall_silent() {
    chaos("chaos::links_fall_silent", Redis::start, |world| {
        let node = world.victim();
        world.cutters[node].silence(true);
        world.hold(shortly_or_longer_than_a_lease(world));
        world.cutters[node].silence(false);
    });
}

#[test]
fn links_are_slow() {
    chaos("chaos::links_are_slow", Redis::start, |world| {
        let delays = [100, 400, 1500, 3000].map(Duration::from_millis);
        let node = world.victim();
        world.cutters[(node + 1) % 3].delay(delays[0]);
        world.cutters[node].delay(delays[3 - world.round % 4]);
        world.hold(Duration::from_secs(4));
        world.cutters.iter().for_each(|cutter| cutter.delay(Duration::ZERO));
    });
}

#[test]
fn redis_is_full() {
    chaos("chaos::redis_is_full", Redis::start, |world| {
        assert_eq!(world.redis.ask("CONFIG SET maxmemory 1"), "+OK");
        world.hold(if is_long() { Duration::from_secs(20) } else { Duration::from_secs(3) });
        if is_long() {
            // Logins that were there still count.
            let there = world.redis.ask("EXISTS zinx:n:one zinx:n:two zinx:n:three");
            assert_eq!(there, ":3", "leases");
        }
        assert_eq!(world.redis.ask("CONFIG SET maxmemory 0"), "+OK");
    });
}

#[test]
fn a_replica_takes_over() {
    chaos("chaos::a_replica_takes_over", Redis::start, |world| {
        world.fail_over();
        world.hold(Duration::from_secs(1));
    });
}

#[test]
fn the_clock_of_redis_jumps() {
    chaos("chaos::the_clock_of_redis_jumps", Redis::start_with_clock, |world| {
        // All leases are over at once.
        world.redis.jump(3600);
        world.hold(Duration::from_secs(2));
        // And would stay for an hour.
        world.redis.jump(0);
        world.kill_node();
        world.start_node_again();
    });
}

fn shortly_or_longer_than_a_lease(world: &World) -> Duration {
    Duration::from_secs(if is_long() && world.round % 2 == 1 { 30 } else { 3 })
}
