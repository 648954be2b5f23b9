//! What runs the coroutines: workers, their stacks, waiting and waking, timers, and the limits of the machine.
//!
//! A coroutine begins on a worker ([`start`]), which becomes its [`home`]. It runs until it waits ([`park`]), or until its
//! slice of time is over ([`fair`]). The [`poller`] of the worker looks at the network and wakes those who wait. Nothing
//! here is for programs, except the settings, the limits, [`blocking`] and the signals.

// Set up once: what the process may use.
pub(super) mod limits;
pub(super) mod settings;

// Where a coroutine runs.
pub(super) mod carrier;
pub(super) mod fair;
pub(super) mod home;
pub(super) mod idle;
pub(super) mod poller;
pub(super) mod ride;
pub(super) mod slots;
pub(super) mod start;
pub(super) mod worker;

// Waiting and waking.
pub(super) mod awaits;
pub(super) mod bell;
pub(super) mod loop_exit;
pub(super) mod park;
pub(super) mod timer;
pub(super) mod until;

// Its stack.
pub(super) mod overflow;
pub(super) mod stack;
pub(super) mod stack_note;

// Buffers, and memory that goes back to the system.
pub(super) mod buffers;
pub(super) mod burst;
pub(super) mod memory;

// Threads beside the workers.
pub(super) mod blocking;
pub(super) mod crew;
pub(super) mod signal;
pub(super) mod signal_handler;
pub(super) mod thread;
pub(super) mod watchdog;

// What all of them do, in figures.
pub(super) mod figures;
