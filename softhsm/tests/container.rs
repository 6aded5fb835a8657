//! systemd in a container: it boots, and a token signs there under the very sandbox that the daemon will have.
//!
//! Without an engine these tests say so and pass, unless CHANCERY_CONTAINER=1 demands that they run.

#![cfg(feature = "container")]
#![allow(
    clippy::unwrap_used,
    reason = "tests may; the lint's exception does not see the functions they share"
)]

use std::env;
use std::os::unix::net::UnixStream;

use chancery_protocol::Algorithm;
use chancery_softhsm::container::Container;

#[test]
fn systemd_boots_and_its_journal_can_be_read() {
    let Some(container) = boot() else { return };
    assert_eq!(container.succeed(&["systemctl", "is-system-running"]).unwrap(), "running\n");
    container.succeed(&["logger", "--tag", "smoke", "seen from outside"]).unwrap();
    let entries = container.journal(&["--identifier=smoke"]).unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0]["MESSAGE"], "seen from outside");
}

#[test]
fn a_failing_command_is_an_error_with_what_it_said() {
    let Some(container) = boot() else { return };
    let output = container.exec(&["sh", "-c", "echo out; echo err >&2; exit 3"]).unwrap();
    assert_eq!((output.code, output.stdout.as_str(), output.stderr.as_str()), (3, "out\n", "err\n"));
    let error = container.succeed(&["ls", "/nowhere"]).unwrap_err().to_string();
    assert!(error.contains("could not run `ls /nowhere`") && error.contains("No such file"), "{error}");
}

#[test]
fn a_container_is_gone_when_it_is_dropped() {
    let Some(container) = boot() else { return };
    let sockets = container.sockets();
    assert!(sockets.is_dir());
    drop(container);
    assert!(!sockets.exists());
}

#[test]
fn both_sockets_reach_the_host_with_their_modes() {
    let Some(container) = boot() else { return };
    container.install_units().unwrap();
    container.install("/bin/true".as_ref(), "/usr/sbin/chanceryd").unwrap();
    container.succeed(&["systemctl", "start", "chanceryd.socket", "chanceryd-admin.socket"]).unwrap();
    let stat = ["stat", "--format=%n %a %U:%G", "/run/chancery/chanceryd.sock", "/run/chancery/admin.sock"];
    assert_eq!(
        container.succeed(&stat).unwrap(),
        "/run/chancery/chanceryd.sock 666 root:root\n/run/chancery/admin.sock 660 root:chancery-admin\n"
    );
    // Nobody accepts, yet the connection stands: systemd holds the socket.
    UnixStream::connect(container.sockets().join("chanceryd.sock")).unwrap();
}

#[test]
fn a_daemon_that_cannot_start_does_not_take_the_socket_with_it() {
    let Some(container) = boot() else { return };
    container.install_units().unwrap();
    container.make_token(&[]).unwrap();
    container.install("/bin/false".as_ref(), "/usr/sbin/chanceryd").unwrap();
    // Many more starts than systemd's usual limits allow (5 in 10 seconds; 20 triggers in 2), in less time.
    let hasty = "[Service]\nRestartSec=20ms\n";
    container.write("/etc/systemd/system/chanceryd.service.d/hasty.conf", "root:root", 0o644, hasty).unwrap();
    container.succeed(&["systemctl", "daemon-reload"]).unwrap();
    container.succeed(&["systemctl", "start", "chanceryd.socket", "chanceryd-admin.socket"]).unwrap();
    let agent = UnixStream::connect(container.sockets().join("chanceryd.sock")).unwrap();
    let until =
        "until [ $(systemctl show --property=NRestarts --value chanceryd.service) -ge 25 ]; do :; done";
    container.succeed(&["timeout", "120", "sh", "-c", until]).unwrap();
    let state = ["systemctl", "is-active", "chanceryd.socket", "chanceryd-admin.socket"];
    assert_eq!(container.succeed(&state).unwrap(), "active\nactive\n");
    drop(agent);
}

/// The daemon's place is taken by a shell, so that what fails here is the sandbox and not the daemon.
#[test]
fn every_algorithm_signs_inside_the_units_sandbox() {
    let keys: Vec<_> = Algorithm::ALL.iter().map(|&algorithm| (algorithm.as_str(), algorithm)).collect();
    let Some(container) = boot() else { return };
    container.install_units().unwrap();
    container.make_token(&keys).unwrap();
    let said = in_the_sandbox(&container, "softhsm-token check /var/lib/chancery/token");
    assert_eq!(said.len(), keys.len(), "{said:#?}");
    assert!(said.iter().all(|line| line.ends_with(" never-extractable signs")), "{said:#?}");
}

#[test]
fn the_sandbox_gives_what_the_daemon_needs_and_no_more() {
    let Some(container) = boot() else { return };
    container.install_units().unwrap();
    container.make_token(&[]).unwrap();
    let pin = container.succeed(&["cat", "/etc/chancery/pin"]).unwrap();
    let peer =
        container.succeed(&["systemctl", "show", "--property=MainPID", "--value", "dbus.service"]).unwrap();
    let unit_of_a_peer = format!("grep -o 'dbus.service$' /proc/{}/cgroup", peer.trim());
    for (script, expected) in [
        // Given: the PIN, a peer's unit, the policy folder, state and logs, the configuration to read.
        ("cat $CREDENTIALS_DIRECTORY/pin", pin.as_str()),
        (&unit_of_a_peer, "dbus.service"),
        ("echo x >/etc/chancery/keys.d/x.toml && echo written", "written"),
        ("echo x >$STATE_DIRECTORY/x && echo x >$LOGS_DIRECTORY/x && echo written", "written"),
        ("head -n 1 $CONFIGURATION_DIRECTORY/chanceryd.toml", "[token.main]"),
        // In either order: systemd promises none.
        ("case $LISTEN_FDNAMES in agents:admin | admin:agents) echo both ;; esac", "both"),
        ("id -un", "chancery"),
        // Not given: the rest of /etc, the PIN's own file, other processes, privileges, a network, a core.
        ("echo x >/etc/chancery/chanceryd.toml || echo refused", "refused"),
        ("cat /etc/chancery/pin || echo refused", "refused"),
        ("rm /run/chancery/chanceryd.sock || echo refused", "refused"),
        ("cat /proc/1/environ || echo refused", "refused"),
        ("cat /proc/meminfo || echo refused", "refused"),
        ("unshare --user true || echo refused", "refused"),
        ("ls /sys/class/net", "lo"),
        ("ulimit -c", "0"),
        ("grep CapBnd /proc/self/status", "CapBnd:\t0000000000000000"),
    ] {
        let said = in_the_sandbox(&container, script);
        assert_eq!(said.last().map(String::as_str), Some(expected), "{script}: {said:#?}");
    }
}

/// Runs a shell script as chanceryd.service; what it wrote, line by line.
fn in_the_sandbox(container: &Container, script: &str) -> Vec<String> {
    let drop_in = "[Service]\nType=oneshot\nRestart=no\nWatchdogSec=0\nExecStart=\nExecStart=/bin/sh /etc/script\n\
                   StandardOutput=truncate:/run/script.output\nStandardError=inherit\n";
    container
        .write("/etc/systemd/system/chanceryd.service.d/script.conf", "root:root", 0o644, drop_in)
        .unwrap();
    container.write("/etc/script", "root:root", 0o644, &format!("{script}\n")).unwrap();
    container.succeed(&["systemctl", "daemon-reload"]).unwrap();
    let started = container.exec(&["systemctl", "start", "chanceryd.service"]).unwrap();
    let said = container.succeed(&["cat", "/run/script.output"]).unwrap();
    assert_eq!(started.code, 0, "{script}: {started:?} {said}");
    said.lines().map(str::to_owned).collect()
}

fn boot() -> Option<Container> {
    if let Err(error) = Container::ready() {
        assert!(env::var_os("CHANCERY_CONTAINER").is_none(), "{error}");
        eprintln!("skipped: {error}");
        return None;
    }
    Some(Container::boot().unwrap())
}
