//! `chancery keys`

use chancery_protocol::Algorithm;
use serde_json::json;

use crate::args::Global;
use crate::daemon::{self, Asked};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::Terminal;

pub(crate) async fn run(global: &Global, terminal: &Terminal) -> Result<Exit, Failure> {
    let client = daemon::agent(global).await?;
    let keys = client.keys().await.map_err(|error| daemon::failure(error, &Asked::agent()))?;
    if keys.is_empty() {
        terminal.note("no key is yours to use");
        terminal.hint(
            "the operator makes one with `chancery key generate NAME`, or adds an [[allow]] rule for you",
        );
    }
    let width = keys.iter().map(|key| key.name.as_str().len()).max().unwrap_or_default();
    for key in &keys {
        let algorithm =
            key.algorithm.map(|code| Algorithm::from_code(code).map_or("unknown", Algorithm::as_str));
        let shown = algorithm.unwrap_or("(its token has not answered yet)");
        terminal.answer(
            format_args!("{:width$}  {shown}", key.name),
            &json!({ "name": key.name.as_str(), "algorithm": algorithm }),
        );
    }
    Ok(Exit::Done)
}
