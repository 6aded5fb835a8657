//! What a caller really passes to the program that it takes for gpg.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::House;

/// A script that notes its arguments and becomes a stand-in.
pub struct Recorder {
    /// The script.
    pub program: PathBuf,
    log: PathBuf,
}

impl House {
    /// Puts a recorder into a folder of its own under the name that a caller looks for; it becomes `stand_in`.
    #[track_caller]
    pub fn recorder(&self, name: &str, stand_in: &str) -> Recorder {
        let folder = self.path("recorder");
        fs::create_dir_all(&folder).expect("a folder");
        let (program, log) = (folder.join(name), folder.join(format!("{name}.log")));
        let stand_in = self.path("bin").join(stand_in);
        // One line for each call, one tab before each argument.
        let script = format!(
            "#!/bin/sh\n{{ printf '\\t%s' \"$@\"; echo; }} >>'{}'\nexec '{}' \"$@\"\n",
            log.display(),
            stand_in.display()
        );
        fs::write(&program, script).expect("a script");
        fs::set_permissions(&program, Permissions::from_mode(0o755)).expect("its mode");
        Recorder { program, log }
    }
}

impl Recorder {
    /// The calls, each as its arguments.
    #[track_caller]
    pub fn calls(&self) -> Vec<Vec<String>> {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        log.lines().map(|line| line.split('\t').skip(1).map(str::to_owned).collect()).collect()
    }

    /// The calls, each as one line.
    #[track_caller]
    pub fn lines(&self) -> Vec<String> {
        self.calls().iter().map(|call| call.join(" ")).collect()
    }
}
