//! The harness of the tests that cross processes: a daemon on a private token, and agents that talk to it.
//!
//! ```no_run
//! use chancery_protocol::Algorithm;
//! use chancery_tests::House;
//!
//! let house = House::builder().key("release", Algorithm::Rsa2048).start();
//! let said = house.chancery(&["keys"]);
//! assert_eq!(said.stdout, "release  rsa2048\n");
//! ```

pub mod debian_images;
mod documents;
pub mod firmware;
mod house;
pub mod images;
pub mod kernel;
mod process;
mod recorder;
pub mod requests;
pub mod tools;
pub mod tsa;

pub use documents::Page;
pub use house::{Builder, House, PIN_PATIENCE};
pub use process::{Output, STAND_INS, capped, program, run};
pub use recorder::Recorder;
