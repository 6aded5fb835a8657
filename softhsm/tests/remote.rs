//! A token behind a socket comes, goes and comes back.

#![allow(
    clippy::unwrap_used,
    reason = "tests may; the lint's exception does not see the functions they share"
)]

use std::fs;
use std::os::unix::net::UnixStream;
use std::process::Command;

use chancery_protocol::Algorithm;
use chancery_softhsm::{Remote, Token};

#[test]
fn a_served_token_goes_away_and_comes_back() {
    let token = Token::with_keys(&[("rsa", Algorithm::Rsa2048)]).unwrap();
    let socket = token.folder().join("p11.sock");
    let mut remote = Remote::serve(&token, &socket).unwrap();
    assert!(signs(&token, &remote));

    // A client that is connected has a server process of its own; it goes with the token.
    let mut client = UnixStream::connect(&socket).unwrap();
    remote.stop().unwrap();
    let gone = std::io::Read::read(&mut client, &mut [0; 1]);
    assert!(matches!(gone, Ok(0) | Err(_)), "{gone:?}");
    assert!(UnixStream::connect(&socket).is_err());
    assert!(!signs(&token, &remote));

    remote.start().unwrap();
    assert!(signs(&token, &remote));
}

#[test]
fn a_token_that_is_not_there_is_not_served() {
    let token = Token::create().unwrap();
    let socket = token.folder().join("no/such/folder/p11.sock");
    let error = Remote::serve(&token, &socket).unwrap_err().to_string();
    assert!(error.starts_with("p11-kit server does not serve ") && error.len() > 80, "{error}");
}

#[test]
fn the_daemons_table_of_a_remote_token_names_the_client_module() {
    let token = Token::create().unwrap();
    let socket = token.folder().join("p11.sock");
    let remote = Remote::serve(&token, &socket).unwrap();
    let table: toml::Table = remote.config_toml("main").parse().unwrap();
    let main = &table["token"]["main"];
    assert_eq!(main["module"].as_str(), remote.module().to_str());
    let address = main["environment"]["P11_KIT_SERVER_ADDRESS"].as_str().unwrap();
    assert_eq!(address, format!("unix:path={}", socket.display()));
}

fn signs(token: &Token, remote: &Remote) -> bool {
    let (input, output) = (token.folder().join("message"), token.folder().join("signature"));
    fs::write(&input, "to be signed\n").unwrap();
    let pin = fs::read_to_string(token.pin_file()).unwrap();
    let mut command = Command::new("pkcs11-tool");
    command
        .arg("--module")
        .arg(remote.module())
        .envs(remote.environment().iter().map(|(name, value)| (name, value)));
    command.args(["--token-label", token.label(), "--login", "--pin", &pin, "--sign", "--label", "rsa"]);
    command.args(["--mechanism", "SHA256-RSA-PKCS", "-i"]).arg(&input).arg("-o").arg(&output);
    command.output().unwrap().status.success()
}
