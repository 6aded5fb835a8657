//! The command line of pesign (0.112 to 116), which popt reads: options are spelled out, and of one that is given again the
//! last counts. There are no commands: what is done follows from the options that are there.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use chancery_protocol::Hash;
use clap::{ArgAction, Parser};

use super::asked::{Asked, Existing, Form, Made, Out};
use crate::exit::Exit;
use crate::failure::Failure;

/// Sign PE images for UEFI Secure Boot as pesign does, with a key in a token
///
/// Made for `%pesign` of rpm's macros, ukify and mkosi. Signs images (-s), beside the signatures that they have; writes what
/// is to be signed where the key is (-E), and attaches what was signed there (-I and -R), if it is good and over this image;
/// tells an image's hash (-h) and its signers (-S); writes a key's certificate (-C). What else pesign does is left to
/// pesign.
///
/// The nickname is the name of a key of chanceryd, with whose stored certificate is signed, or a `pkcs11:` URI (RFC 7512)
/// whose `object=` is one. `CHANCERY_SOCKET` names the daemon's socket, `CHANCERY_BUILD_ID` the build for the audit trail.
/// `SOURCE_DATE_EPOCH`, in seconds since 1970, is told as the time of the signature, in the place of now.
#[derive(Debug, Parser)]
#[command(
    name = super::NAMES[0],
    version,
    disable_version_flag = true,
    disable_help_flag = true,
    args_override_self = true,
    override_usage = "chancery-pesign -s -c <nickname> -i <infile> -o <outfile>"
)]
#[expect(clippy::struct_excessive_bools, reason = "a flag of the command line is a bool until it is read")]
pub(crate) struct Pesign {
    /// The image
    #[arg(short, long = "in", value_name = "infile", allow_hyphen_values = true)]
    input: Option<PathBuf>,
    /// Where to write the signed image
    #[arg(short, long = "out", value_name = "outfile", allow_hyphen_values = true)]
    output: Option<PathBuf>,
    /// The key: its name, or a `pkcs11:` URI; `token:name` as with -t
    #[arg(short, long, aliases = ["cert", "certficate"], value_name = "nickname", allow_hyphen_values = true)]
    certificate: Option<OsString>,
    /// The label of the key's token, which has to be its own where the daemon shows that
    #[arg(short, long, alias = "nss-token", value_name = "token", allow_hyphen_values = true)]
    token: Option<OsString>,
    /// Taken, and not looked at: there is no database beside the daemon's keys
    #[arg(short = 'n', long, value_name = "directory", allow_hyphen_values = true)]
    certdir: Option<PathBuf>,
    /// Replace output files that are there
    #[arg(short, long)]
    force: bool,
    /// Sign
    #[arg(short, long)]
    sign: bool,
    /// Tell the hash of the image
    #[arg(short = 'h', long)]
    hash: bool,
    /// The hash: sha256 (the default), sha384 or sha512
    #[arg(short, long, alias = "digest_type", value_name = "digest", allow_hyphen_values = true)]
    digest_type: Option<String>,
    /// Tell who signed
    #[arg(short = 'S', long)]
    show_signature: bool,
    /// The same
    #[arg(short = 'l', long)]
    list_signatures: bool,
    /// With -s: write the signature alone, to this file
    #[arg(short, long, value_name = "outsig", allow_hyphen_values = true)]
    export_signature: Option<PathBuf>,
    /// Write what is to be signed elsewhere
    #[arg(short = 'E', long, value_name = "signed_attributes_file", allow_hyphen_values = true)]
    export_signed_attributes: Option<PathBuf>,
    /// What was signed elsewhere, as -E wrote it
    #[arg(short = 'I', long, value_name = "signed_attributes_file", allow_hyphen_values = true)]
    import_signed_attributes: Option<PathBuf>,
    /// The bare signature over it
    #[arg(short = 'R', long, value_name = "inraw", allow_hyphen_values = true)]
    import_raw_signature: Option<PathBuf>,
    /// Write the certificate of the key
    #[arg(short = 'C', long, value_name = "outcert", allow_hyphen_values = true)]
    export_cert: Option<PathBuf>,
    /// Write text: PEM with -C, armor with -e
    #[arg(short, long, alias = "ascii")]
    ascii_armor: bool,
    /// Taken: signatures are over images that are padded, as pesign has it since 113
    #[arg(short = 'P', long)]
    padding: bool,
    /// Say more; there is no more to say
    #[arg(short, long, alias = "debug")]
    verbose: bool,
    /// Taken, and not looked at: the daemon has the PIN
    #[arg(long, aliases = ["pinfd", "pinenv", "pwfile"], value_name = "pin", allow_hyphen_values = true)]
    pinfile: Option<OsString>,
    #[command(flatten)]
    not_ours: NotOurs,
    /// Print help
    #[arg(short = '?', long, alias = "usage", action = ArgAction::Help)]
    help: Option<bool>,
    /// Print version
    #[arg(long, action = ArgAction::Version)]
    version: Option<bool>,
}

/// What pesign does beside that.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "a flag of the command line is a bool until it is read")]
struct NotOurs {
    #[arg(short = 'm', long, alias = "import-signed-certificate", hide = true, allow_hyphen_values = true)]
    import_signature: Option<OsString>,
    #[arg(short = 'K', long, hide = true, allow_hyphen_values = true)]
    export_pubkey: Option<OsString>,
    #[arg(short = 'u', long, hide = true, allow_hyphen_values = true)]
    signature_number: Option<OsString>,
    #[arg(short, long, hide = true)]
    remove_signature: bool,
    #[arg(short = 'D', long, alias = "daemon", hide = true)]
    daemonize: bool,
    #[arg(short = 'N', long, hide = true)]
    nofork: bool,
    #[arg(short = 'p', long, hide = true)]
    nopadding: bool,
    #[arg(short = 'V', long, hide = true)]
    no_vendor_cert: bool,
}

impl Pesign {
    /// What is asked; or why it cannot be done.
    pub(super) fn asked(self) -> Result<Asked, Failure> {
        self.not_ours.refuse()?;
        let hash = self.hash_named()?;
        let key = self.key();
        let key = || {
            key.clone().ok_or_else(|| {
                misused("no key is named")
                    .hint("name one: `-c NAME`; `chancery keys` lists those that you may use")
            })
        };
        let form = if self.ascii_armor { Form::Text } else { Form::Der };
        let existing = if self.force { Existing::Replaced } else { Existing::Kept };
        let out = |path: PathBuf| Out { path, existing };
        let image = || wanted(self.input.clone(), "no input file is named", "-i FILE");
        let output = || self.embedded().map(out);
        let raw = self.import_raw_signature.is_some() || self.import_signed_attributes.is_some();
        let list = self.show_signature || self.list_signatures;
        let actions = [
            self.sign,
            raw,
            self.export_signed_attributes.is_some(),
            self.export_cert.is_some(),
            self.hash,
            list,
        ];
        if actions.iter().filter(|asked| **asked).count() > 1 {
            return Err(misused("several things are asked for, of which pesign does one at a time")
                .hint("call it once for each of -s, -E, -I with -R, -C, -h and -S"));
        }
        if self.sign {
            let key = key()?;
            let (to, made) = match &self.export_signature {
                Some(path) => (out(path.clone()), Made::Signature(form)),
                None => (output()?, Made::Image),
            };
            return Ok(Asked::Sign { key, image: image()?, to, made, hash });
        }
        if self.export_signature.is_some() {
            return Err(refused("-e without -s", "`pesign` itself takes a signature out of an image"));
        }
        if raw {
            let both = "what was signed and the signature over it belong together";
            let attributes = wanted(self.import_signed_attributes.clone(), both, "-I FILE")?;
            let signature = wanted(self.import_raw_signature.clone(), both, "-R FILE")?;
            return Ok(Asked::Import { key: key()?, image: image()?, to: output()?, attributes, signature });
        }
        if let Some(path) = self.export_signed_attributes.clone() {
            return Ok(Asked::Export { image: image()?, to: out(path), hash });
        }
        if let Some(path) = self.export_cert.clone() {
            return Ok(Asked::Certificate { key: key()?, to: out(path), form });
        }
        match (self.hash, list) {
            (true, _) => Ok(Asked::Hash { image: image()?, hash }),
            (_, true) => Ok(Asked::List { image: image()? }),
            _ => Ok(Asked::Nothing),
        }
    }

    /// The file for a signed image, which pesign does not want to be the image itself.
    fn embedded(&self) -> Result<PathBuf, Failure> {
        let output = wanted(self.output.clone(), "no output file is named", "-o FILE")?;
        if self.input.as_ref() == Some(&output) {
            let error = format!("{}: in-place editing is not what pesign does", output.display());
            return Err(misused(&error).hint("name another file with `-o`, or use `chancery sign efi`"));
        }
        Ok(output)
    }

    /// The key as a word that [`key_argument`](crate::key_argument) knows.
    fn key(&self) -> Option<OsString> {
        let nickname = self.certificate.clone().filter(|name| !name.is_empty())?;
        let text = nickname.to_str().unwrap_or_default();
        let (token, name) = match text.split_once(':') {
            Some((token, name)) if token != "pkcs11" => (Some(token), name),
            _ => (self.token.as_deref().and_then(OsStr::to_str), text),
        };
        match token {
            Some(token) if token != NSS => {
                Some(format!("pkcs11:token={};object={}", encoded(token), encoded(name)).into())
            }
            Some(_) => Some(name.into()),
            None => Some(nickname),
        }
    }

    fn hash_named(&self) -> Result<Hash, Failure> {
        let name = self.digest_type.as_deref().unwrap_or(Hash::Sha256.as_str());
        name.parse().map_err(|_| {
            misused(&format!("digest `{name}` is not signed with")).hint("use sha256, sha384 or sha512")
        })
    }
}

/// The token that pesign takes if none is named: its own database.
const NSS: &str = "NSS Certificate DB";

/// Percent-encoding of all but letters and digits (RFC 7512, section 2.3).
fn encoded(text: &str) -> String {
    let encode = |byte: u8| {
        if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(encode).collect()
}

impl NotOurs {
    fn refuse(&self) -> Result<(), Failure> {
        let real = "`pesign` itself does that";
        for (is_asked, option, hint) in [
            (
                self.import_signature.is_some(),
                "-m",
                "`chancery attach efi SIGNATURE IMAGE` attaches a signature",
            ),
            (self.export_pubkey.is_some(), "-K", "`chancery key show NAME --pem` writes a public key"),
            (
                self.remove_signature,
                "-r",
                "`chancery unsign efi IMAGE` takes all signatures out, `pesign -r` one",
            ),
            (self.signature_number.is_some(), "-u", "a new signature stands behind those that are there"),
            (self.daemonize || self.nofork, "-D", "chanceryd is the daemon, and the operator starts it"),
            (self.nopadding, "-p", real),
            (self.no_vendor_cert, "-V", real),
        ] {
            if is_asked {
                return Err(refused(option, hint));
            }
        }
        Ok(())
    }
}

fn refused(option: &str, hint: &str) -> Failure {
    misused(&format!("`{option}` of pesign is not done here")).hint(hint)
}

fn wanted(given: Option<PathBuf>, error: &str, word: &str) -> Result<PathBuf, Failure> {
    given.ok_or_else(|| misused(error).hint(format!("name it: `{word}`")))
}

fn misused(error: &str) -> Failure {
    Failure::new(Exit::Usage, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(words: &[&str]) -> Result<Asked, Failure> {
        Pesign::try_parse_from([&["pesign"], words].concat())
            .unwrap_or_else(|error| panic!("{error}"))
            .asked()
    }

    #[test]
    fn what_callers_say_is_understood() {
        let signed = |key: &str, existing| Asked::Sign {
            key: key.into(),
            image: "in.efi".into(),
            to: Out { path: "out.efi".into(), existing },
            made: Made::Image,
            hash: Hash::Sha256,
        };
        for (words, expected) in [
            // pesign-rpmbuild-helper
            (
                &["--certdir", "/etc/pki/pesign", "-c", "boot", "-s", "-i", "in.efi", "-o", "out.efi"][..],
                signed("boot", Existing::Kept),
            ),
            (
                &["--certdir", "/x", "-t", "My Token", "-c", "boot", "-s", "-i", "in.efi", "-o", "out.efi"],
                signed("pkcs11:token=My%20Token;object=boot", Existing::Kept),
            ),
            // ukify
            (
                &["-s", "--force", "-n", "/x", "-c", "boot", "-i", "in.efi", "-o", "out.efi"],
                signed("boot", Existing::Replaced),
            ),
            (&["-i", "in.efi", "-S"], Asked::List { image: "in.efi".into() }),
            // mkosi, up to 24
            (
                &[
                    "--certdir",
                    "/x",
                    "--certificate",
                    "boot",
                    "--sign",
                    "--force",
                    "--in",
                    "in.efi",
                    "--out",
                    "out.efi",
                ],
                signed("boot", Existing::Replaced),
            ),
            (&["-sf", "-cboot", "-i=in.efi", "--out=out.efi", "-t", NSS], signed("boot", Existing::Replaced)),
            (
                &["-s", "-c", "hsm:boot", "-iin.efi", "-oout.efi"],
                signed("pkcs11:token=hsm;object=boot", Existing::Kept),
            ),
            (
                &["-s", "-c", "pkcs11:object=boot", "-iin.efi", "-oout.efi"],
                signed("pkcs11:object=boot", Existing::Kept),
            ),
            // mkosi's build on a build service
            (
                &["-n", "sql:/x", "-h", "-P", "-i", "in.efi"],
                Asked::Hash { image: "in.efi".into(), hash: Hash::Sha256 },
            ),
        ] {
            assert_eq!(asked(words), Ok(expected), "{words:?}");
        }
        let exported = asked(&["--force", "-n", "sql:/x", "-i", "in.efi", "-E", "attributes"]);
        assert!(matches!(exported, Ok(Asked::Export { to: Out { existing: Existing::Replaced, .. }, .. })));
        let imported =
            asked(&["-c", "boot", "-i", "a", "-o", "b", "-d", "sha256", "-I", "attributes", "-R", "raw"]);
        assert!(matches!(imported, Ok(Asked::Import { .. })));
        assert_eq!(asked(&[]), Ok(Asked::Nothing));
    }

    #[test]
    fn what_is_not_done_here_is_refused_by_name() {
        for (words, name) in [
            (&["-r", "-i", "a", "-o", "b"][..], "`-r`"),
            (&["-m", "sig", "-i", "a", "-o", "b"], "`-m`"),
            (&["-K", "key", "-c", "boot"], "`-K`"),
            (&["-D"], "`-D`"),
            (&["--daemon"], "`-D`"),
            (&["-h", "-p", "-i", "a"], "`-p`"),
            (&["-e", "sig", "-i", "a"], "`-e without -s`"),
            (&["-s", "-u", "1", "-c", "boot", "-i", "a", "-o", "b"], "`-u`"),
            (&["-h", "-d", "sha1", "-i", "a"], "`sha1`"),
            (&["-s", "-C", "cert", "-c", "boot", "-i", "a", "-o", "b"], "several things"),
            (&["-s", "-c", "boot", "-i", "a", "-o", "a"], "in-place"),
            (&["-s", "-i", "a", "-o", "b"], "no key is named"),
            (&["-s", "-c", "boot", "-o", "b"], "no input file"),
            (&["-s", "-c", "boot", "-i", "a"], "no output file"),
            (&["-I", "attributes", "-c", "boot", "-i", "a", "-o", "b"], "belong together"),
        ] {
            let failure = asked(words).expect_err(name);
            assert!(failure.error.contains(name) && failure.hint.is_some(), "{words:?}: {failure:?}");
        }
        // popt takes no abbreviations.
        assert!(Pesign::try_parse_from(["pesign", "--sig", "-i", "a"]).is_err());
    }
}
