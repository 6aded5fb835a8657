//! `chancery key generate`

use chancery_protocol::Format;
use chancery_protocol::admin::GenerateKey;
use serde_json::json;

use crate::args::{Global, KeyGenerate};
use crate::daemon::{self, Asked};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::key::Key;
use crate::terminal::Terminal;

pub(crate) async fn run(global: &Global, args: KeyGenerate, terminal: &Terminal) -> Result<Exit, Failure> {
    let client = daemon::admin(global).await?;
    let nobody_yet = args.allow.is_empty();
    let takes_x509 =
        args.format.iter().any(|format| matches!(format, Format::Module | Format::Efi | Format::Cms));
    let request = GenerateKey {
        name: args.name.clone(),
        algorithm: args.algorithm.code(),
        token: args.token,
        description: args.description,
        allow: args.allow.into_iter().map(String::from).collect(),
        formats: args.format.into_iter().map(Format::code).collect(),
        extensions: Vec::new(),
    };
    let made = client.generate_key(request).await;
    let key = Key::of(made.map_err(|error| daemon::failure(error, &Asked::admin_about(&args.name)))?)?;
    let name = &key.name;
    terminal.news(
        format_args!("key `{name}` made: {}", key.algorithm),
        &json!({
            "name": name.as_str(),
            "algorithm": key.algorithm.as_str(),
            "created": key.created,
            "uri": key.uri,
            "result": "made",
        }),
    );
    if nobody_yet {
        terminal.hint(format_args!(
            "nobody may sign with it yet: add an [[allow]] rule to keys.d/{name}.toml and run `chancery reload`"
        ));
    }
    if takes_x509 {
        terminal.hint(format_args!(
            "make its X.509 certificate: chancery x509 self-sign {name} --subject \"CN=...\" --profile module -o {name}.pem"
        ));
        return Ok(Exit::Done);
    }
    terminal.hint(format_args!(
        "make its OpenPGP certificate: chancery openpgp make-cert {name} --user-id \"Name <mail@example.org>\" -o {name}.asc"
    ));
    Ok(Exit::Done)
}
