//! The daemon as machines run it: under systemd, with the real unit files, in their sandbox, with journal, credentials
//! and a SoftHSM token; agents inside the container as several users, and on the host through the shared sockets.
//!
//! Without an engine these tests say so and pass, unless CHANCERY_CONTAINER=1 demands that they run
//! (`make test-container` sets it).

#![cfg(feature = "container")]

#[path = "container/station.rs"]
mod station;

#[path = "container/confinement.rs"]
mod confinement;
#[path = "container/life.rs"]
mod life;
#[path = "container/operation.rs"]
mod operation;
#[path = "container/peers.rs"]
mod peers;
