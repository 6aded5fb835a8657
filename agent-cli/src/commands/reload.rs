//! `chancery reload`

use serde_json::json;

use crate::args::Global;
use crate::daemon::{self, Asked};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::Terminal;

pub(crate) async fn run(global: &Global, terminal: &Terminal) -> Result<Exit, Failure> {
    let client = daemon::admin(global).await?;
    let done = client.reload().await.map_err(|error| daemon::failure(error, &Asked::admin()))?;
    terminal.news(&done, &json!({ "result": "reloaded", "message": done }));
    Ok(Exit::Done)
}
