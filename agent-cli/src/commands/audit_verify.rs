//! `chancery audit verify`

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use chancery_audit::{Broken, Fault, Summary, Verifier};
use serde_json::json;

use crate::args::AuditVerify;
use crate::checkpoint;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::key::public_key_of;
use crate::terminal::Terminal;

/// Open intents that are named; more are counted.
const NAMED: usize = 10;

pub(crate) fn run(args: &AuditVerify, terminal: &Terminal) -> Result<Exit, Failure> {
    let key = args.public_key.as_deref().map(public_key_of).transpose()?;
    let judge = key.map(|key| move |checkpoint: &_, text: &str| checkpoint::check(&key, checkpoint, text));
    let files = trail(&args.paths)?;
    let mut verifier = match &judge {
        Some(judge) => Verifier::new(Some(judge)),
        None => Verifier::new(None),
    };
    for path in &files {
        let file = File::open(path).map_err(|error| Failure::file("read", path, &error))?;
        verifier.file(&path.display().to_string(), file).map_err(|broken| failure(&broken))?;
    }
    tell(&verifier.finish(), files.len(), terminal);
    Ok(Exit::Done)
}

/// The trail's files in their order: a folder stands for its `*.jsonl`, whose names begin with their first record's
/// number.
fn trail(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let entries = fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let entries = entries.map_err(|error| Failure::file("read", path, &error))?;
        let mut found: Vec<PathBuf> =
            entries.iter().map(fs::DirEntry::path).filter(|path| is_trail(path)).collect();
        if found.is_empty() {
            return Err(Failure::new(
                Exit::Failed,
                format!("{}: there is no audit trail here", path.display()),
            )
            .hint("`chancery status` names the file that is written now"));
        }
        found.sort();
        files.append(&mut found);
    }
    Ok(files)
}

fn is_trail(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "jsonl") && path.is_file()
}

fn failure(broken: &Broken) -> Failure {
    let failure = Failure::new(Exit::Failed, broken.to_string());
    match broken.fault {
        Fault::Io(_) => failure.hint("the trail belongs to the operator: run it as root"),
        Fault::Torn => failure.hint("a crash can leave this in the last file, and the daemon tells it in the next `started` record; anywhere else the file was cut"),
        Fault::NotARecord(_) | Fault::TooLong => failure.hint("is it a file of the trail (audit-*.jsonl), given in the trail's order?"),
        Fault::Sequence { .. } => failure.hint("give all files of the trail in their order, or their folder; if that was so, keep the files as evidence"),
        Fault::Hash | Fault::NoIntent(_) | Fault::Covers(_) => failure.hint("what stands before this line is good; keep the files as evidence, and compare with a copy kept elsewhere"),
        Fault::Checkpoint(_) => failure.hint("was `--public-key` the audit key's? if so, the trail was forged from here on or before: keep the files as evidence"),
    }
}

fn tell(summary: &Summary, files: usize, terminal: &Terminal) {
    let Summary { first, last, .. } = summary;
    let mut lines = vec![
        format!(
            "the trail is whole: records {first} to {last} in {files} {}",
            if files == 1 { "file" } else { "files" }
        ),
        format!("signed {}, not signed {}, refused {}", summary.signed, summary.failed, summary.refused),
        match summary.last_checkpoint {
            Some(number) if summary.checkpoints_unchecked == 0 => {
                format!(
                    "checkpoints {}, all good; the last covers record {number}",
                    summary.checkpoints_checked
                )
            }
            Some(number) => format!(
                "checkpoints {}, not checked (that needs --public-key); the last covers record {number}",
                summary.checkpoints_unchecked
            ),
            None => "no checkpoint".to_owned(),
        },
        format!("head {}", summary.head),
    ];
    if summary.checkpoints_before > 0 {
        lines.push(format!(
            "checkpoints over records before {first}: {}; they say nothing about these",
            summary.checkpoints_before
        ));
    }
    let open = &summary.open_intents;
    if !open.is_empty() {
        let named: Vec<_> = open.iter().take(NAMED).map(ToString::to_string).collect();
        let more = if open.len() > NAMED { ", ..." } else { "" };
        lines.push(format!(
            "without an outcome, may have been signed: {} (records {}{more})",
            open.len(),
            named.join(", ")
        ));
    }
    terminal.answer(
        lines.join("\n"),
        &json!({
            "result": "whole",
            "first": first,
            "last": last,
            "files": files,
            "signed": summary.signed,
            "not_signed": summary.failed,
            "refused": summary.refused,
            "checkpoints_checked": summary.checkpoints_checked,
            "checkpoints_unchecked": summary.checkpoints_unchecked,
            "checkpoints_before": summary.checkpoints_before,
            "last_checkpoint": summary.last_checkpoint,
            "head": summary.head,
            "open_intents": open,
        }),
    );
}
