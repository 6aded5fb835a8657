//! `chancery status`

use std::time::Duration;

use chancery_protocol::admin::{Admin, StatusReport, TokenStatus};
use chancery_protocol::client::Client;
use serde_json::{Value, json};

use crate::args::{Global, Status};
use crate::daemon::{self, Asked};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::Terminal;

/// The state of a token that signs (docs/PROTOCOL.md, TokenStatus).
const READY: &str = "ready";

pub(crate) async fn run(global: &Global, args: &Status, terminal: &Terminal) -> Result<Exit, Failure> {
    let client = daemon::admin(global).await?;
    let Some(seconds) = args.watch else { return tell(&client, terminal).await };
    // Until a signal ends it; the client finds a daemon that was restarted by itself.
    loop {
        if let Err(failure) = tell(&client, terminal).await {
            terminal.fail(&failure);
        }
        tokio::time::sleep(Duration::from_secs(seconds.into())).await;
    }
}

async fn tell(client: &Client<Admin>, terminal: &Terminal) -> Result<Exit, Failure> {
    let report = client.status().await.map_err(|error| daemon::failure(error, &Asked::admin()))?;
    terminal.answer(text(&report), &json(&report));
    Ok(end(&report))
}

fn end(report: &StatusReport) -> Exit {
    if report.tokens.iter().any(|token| token.state != READY) || !report.audit.fault.is_empty() {
        Exit::Unavailable
    } else if report.policy_fault.is_empty() {
        Exit::Done
    } else {
        Exit::Failed
    }
}

fn text(report: &StatusReport) -> String {
    let mut lines = vec![format!(
        "{}, up {}: keys {}, connections {}, signatures {}, refusals {}",
        report.software,
        duration(report.uptime),
        report.keys,
        report.connections,
        report.signatures,
        report.refusals
    )];
    lines.extend(report.tokens.iter().flat_map(token));
    if report.tokens.is_empty() {
        lines.push("no token is configured".to_owned());
    }
    let audit = &report.audit;
    lines.push(format!("audit {}: {} records, head {}", audit.file, audit.sequence, audit.head));
    if !audit.fault.is_empty() {
        lines.push(format!("  cannot be written, so nothing is signed: {}", audit.fault));
    }
    if !report.policy_fault.is_empty() {
        lines.push(format!(
            "policy: the last reload was refused, the one before is in force: {}",
            report.policy_fault
        ));
    }
    lines.join("\n")
}

fn token(token: &TokenStatus) -> Vec<String> {
    let mut lines = vec![format!(
        "token {}: {} for {}, workers {} of {}, waiting {}, at work {}, signatures {}, restarts {}",
        token.name,
        token.state,
        duration(token.since),
        token.workers_ready,
        token.workers,
        token.queued,
        token.in_flight,
        token.signatures,
        token.restarts
    )];
    if !token.last_error.is_empty() {
        lines.push(format!("  last error: {}", token.last_error));
    }
    lines
}

fn json(report: &StatusReport) -> Value {
    let tokens: Vec<Value> = report
        .tokens
        .iter()
        .map(|token| {
            json!({
                "name": token.name,
                "state": token.state,
                "since": token.since,
                "workers_ready": token.workers_ready,
                "workers": token.workers,
                "queued": token.queued,
                "in_flight": token.in_flight,
                "signatures": token.signatures,
                "restarts": token.restarts,
                "last_error": token.last_error,
            })
        })
        .collect();
    json!({
        "software": report.software,
        "uptime": report.uptime,
        "keys": report.keys,
        "connections": report.connections,
        "signatures": report.signatures,
        "refusals": report.refusals,
        "policy_fault": report.policy_fault,
        "tokens": tokens,
        "audit": {
            "file": report.audit.file,
            "sequence": report.audit.sequence,
            "head": report.audit.head,
            "fault": report.audit.fault,
        },
    })
}

/// A time in its two largest units.
fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min {} s", seconds % 60),
        3600..86400 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chancery_protocol::admin::AuditStatus;

    fn report(state: &str, audit_fault: &str, policy_fault: &str) -> StatusReport {
        let token = TokenStatus {
            name: "hsm".into(),
            state: state.into(),
            since: 61,
            workers_ready: 1,
            workers: 2,
            queued: 0,
            in_flight: 0,
            signatures: 7,
            restarts: 1,
            last_error: "C_Login: CKR_PIN_LOCKED".into(),
        };
        StatusReport {
            software: "chanceryd 0.1.0".into(),
            uptime: 90_000,
            keys: 2,
            policy_fault: policy_fault.into(),
            connections: 1,
            signatures: 7,
            refusals: 0,
            tokens: vec![token],
            audit: AuditStatus {
                file: "a".into(),
                sequence: 9,
                head: "00".into(),
                fault: audit_fault.into(),
            },
            extensions: vec![],
        }
    }

    #[test]
    fn a_daemon_that_cannot_sign_ends_with_4_and_one_with_a_refused_policy_with_1() {
        for (state, audit, policy, exit) in [
            ("ready", "", "", Exit::Done),
            ("starting", "", "", Exit::Unavailable),
            ("locked-out", "", "bad", Exit::Unavailable),
            ("ready", "no space left", "", Exit::Unavailable),
            ("ready", "", "release.toml:3: no", Exit::Failed),
        ] {
            assert_eq!(end(&report(state, audit, policy)), exit, "{state} {audit} {policy}");
        }
    }

    #[test]
    fn a_token_is_told_with_its_last_error() {
        let text = text(&report("locked-out", "", ""));
        assert!(text.starts_with("chanceryd 0.1.0, up 1 d 1 h: keys 2,"), "{text}");
        assert!(text.contains("token hsm: locked-out for 1 min 1 s, workers 1 of 2"), "{text}");
        assert!(text.contains("\n  last error: C_Login: CKR_PIN_LOCKED\n"), "{text}");
    }
}
