//! What a connection promises, on each transport by the same tests. `cargo test --test each_transport wss::` runs those of one.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests are plain threads and speak raw sockets"
)]

#[path = "../common/mod.rs"]
#[expect(dead_code, reason = "each group uses its share")]
mod common;

#[path = "../kcp/peer.rs"]
#[expect(dead_code, reason = "a wire of KCP speaks its segments only")]
mod peer;

#[path = "../transport/tls_peer.rs"]
#[expect(dead_code, reason = "a wire of TLS trusts what its peers trust")]
mod tls_peer;

mod kcp_wire;
mod served;
mod wires;

mod both_ends;
mod frames;
mod limits;
mod resuming;
mod talks;
mod ways_to_end;

/// Runs each promise on each transport. A failure names both: `wss::length_zero_reaches_the_handler`.
macro_rules! on_each_transport {
    (@each $promises:tt $($name:ident $kind:ident),*) => {
        $(on_each_transport!(@one $name $kind $promises);)*
    };
    (@one $name:ident $kind:ident {$($file:ident::{$($promise:ident),* $(,)?};)*}) => {
        mod $name {
            $($(
                #[test]
                fn $promise() {
                    crate::$file::$promise(zinx::ziface::TransportKind::$kind);
                }
            )*)*
        }
    };
    ($($promises:tt)*) => {
        on_each_transport!(@each {$($promises)*} tcp Tcp, tls Tls, ws WebSocket, wss SecureWebSocket, kcp Kcp);
    };
}

on_each_transport! {
    frames::{
        messages_come_back_and_the_connection_says_what_carries_it,
        a_frame_cut_at_every_byte_is_handled_once_with_identical_bytes,
        two_frames_glued_and_cut_at_every_byte_are_handled_in_order,
        one_byte_a_write_is_handled_once_with_identical_bytes,
        thousands_of_frames_in_one_write_come_back_in_order,
        length_zero_and_length_max_reach_the_handler,
        large_frames_behind_small_ones_come_back_in_order,
        a_frame_that_is_too_large_closes_only_its_connection,
        what_a_full_socket_did_not_take_leaves_while_the_handler_waits,
        many_send_while_the_peer_asks,
    };
    ways_to_end::{
        an_end_after_whole_frames_still_delivers_the_replies,
        an_end_while_the_handler_waits_still_delivers_the_reply,
        an_end_inside_a_frame_calls_no_handler_and_the_stop_hook_once,
        a_peer_that_is_gone_without_a_word_is_found,
        hooks_frame_the_handlers_once_each,
        last_words_of_the_stop_hook_are_delivered,
        a_stop_of_the_server_drains_what_was_read,
        a_stop_of_the_connection_answers_what_was_read,
        three_closes_at_once_run_the_stop_hook_once,
    };
    limits::{
        one_over_max_conn_is_turned_away_and_a_place_that_is_left_is_taken,
        one_over_max_conn_waits_for_a_place_if_that_is_the_policy,
        connections_of_one_address_are_counted,
        a_full_queue_fails_a_send_by_policy_and_loses_nothing,
        a_full_queue_drops_the_oldest_by_policy_and_counts_them,
        a_full_queue_disconnects_by_policy,
        a_peer_that_does_not_read_is_closed_at_the_write_timeout,
        a_flood_holds_nobody_up_and_loses_nothing,
        over_the_rate_closes_by_policy_with_the_replies_that_are_due,
    };
    talks::{
        a_handler_asks_and_what_came_between_is_handled_after_in_order,
        answers_cut_at_any_byte_and_large_ones_arrive_whole,
        a_close_ends_every_call,
        a_whole_dialogue_in_one_function_with_routers_beside_it,
        a_session_that_waits_ends_with_its_connection,
        the_raw_stream_begins_behind_its_message_and_ends_before_the_next,
        a_raw_write_that_is_out_of_time_has_written_nothing,
        broadcasts_reach_the_members_in_order_and_those_that_go_leave,
        a_silent_peer_is_found_by_its_heartbeat,
        a_peer_that_answers_its_heartbeats_is_kept,
        a_silent_peer_that_is_only_watched_is_asked_by_the_hook,
    };
    both_ends::{
        a_client_may_send_much_without_a_look_at_the_replies,
        a_server_may_send_much_to_a_client_that_answers_all_of_it,
    };
    resuming::{
        nothing_is_lost_if_it_is_cut_after_any_byte_written,
        nothing_is_lost_if_it_is_cut_after_any_byte_read,
        nothing_is_lost_if_it_is_cut_again_and_again,
        what_was_sent_while_it_was_away_comes_and_hooks_run_once,
        a_peer_that_comes_too_late_is_refused,
    };
}
