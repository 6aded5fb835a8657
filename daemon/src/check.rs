//! `chanceryd check`: whether a configuration is good, and who may use what.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::config::Config;
use crate::policy::{Policy, Rule};

/// Reads everything that serving would read, and prints what it means.
pub fn run(path: &Path) -> Result<()> {
    let config = Config::read(path)?;
    let policy = Policy::read(&config.keys)?;
    let mut out = io::stdout().lock();
    writeln!(out, "{}: good; {} tokens, {} keys", path.display(), config.token.len(), policy.len())?;
    let mut faults = Vec::new();
    for (name, token) in &config.token {
        writeln!(out, "token {name}: {} in {}", token.uri, token.module.display())?;
        if let Err(error) = std::fs::metadata(&token.module) {
            faults.push(format!("token {name}: the module {}: {error}", token.module.display()));
        }
    }
    for key in policy.keys() {
        let homes: Vec<_> =
            config.token.iter().filter(|(_, token)| key.file.uri.lies_in(&token.uri)).collect();
        match homes[..] {
            [(token, _)] => writeln!(out, "key {}: {} in token {token}", key.name, key.file.uri)?,
            _ => faults.push(format!(
                "key {}: its uri {} fits {} tokens, not one",
                key.name,
                key.file.uri,
                homes.len()
            )),
        }
        if key.file.allow.is_empty() {
            writeln!(out, "  nobody may use it")?;
        }
        for (index, rule) in key.file.allow.iter().enumerate() {
            writeln!(out, "  allow[{index}]: {}", in_words(rule))?;
        }
    }
    if let Some(name) = config.audit.checkpoint_key.as_ref().filter(|name| policy.key(name).is_none()) {
        faults.push(format!(
            "[audit]: checkpoint-key is `{name}`, and there is no {name}.toml in {}",
            config.keys.display()
        ));
    }
    out.flush().context("standard output")?;
    if !faults.is_empty() {
        bail!("{}", faults.join("\nerror: "));
    }
    Ok(())
}

fn in_words(rule: &Rule) -> String {
    let join = |words: Vec<String>| words.join(", ");
    let all = |words: Option<Vec<String>>, every: &str| words.map_or_else(|| every.to_owned(), join);
    let mut text = join(rule.who.iter().map(ToString::to_string).collect());
    text += " may sign ";
    text += &all(rule.formats.as_ref().map(|f| f.iter().map(ToString::to_string).collect()), "every format");
    text += " with ";
    text += &all(rule.schemes.as_ref().map(|s| s.iter().map(ToString::to_string).collect()), "every scheme");
    for (name, allowance) in [("rate", rule.rate), ("quota", rule.quota)] {
        if let Some(allowance) = allowance {
            // Writing to a String cannot fail.
            let _ = write!(text, ", {name} {allowance}");
        }
    }
    if rule.hours.is_some() || rule.days.is_some() {
        text += ", at its hours and days only";
    }
    text
}
