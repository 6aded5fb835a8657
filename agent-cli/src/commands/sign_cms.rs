//! `chancery sign cms`

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::sync::Arc;

use chancery_formats::cms::file::{
    Attributes, Certificates, Content, Options, Pending, SigningCertificate, enclose, prepare, to_text,
};
use chancery_formats::cms::{Error, Form, SignerId, scheme};
use chancery_formats::timestamp::Kind;
use chancery_formats::x509::{Certificate, Profile, default_hash};
use chancery_protocol::{Format, Hash};

use crate::args::{Global, Input, SignCms};
use crate::certificates::{chain, of_signer};
use crate::clock::now;
use crate::cms::failure;
use crate::daemon;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files::{Deed, Done, blocking};
use crate::key::Key;
use crate::signer::{Artifact, Signer, artifact_name};
use crate::sources::Sources;
use crate::terminal::Terminal;
use crate::timestamp::Timestamper;

/// How a signature and its file lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// The signature alone.
    Detached,
    /// The same as text.
    Text,
    /// The signature around the file.
    Attached,
}

impl Shape {
    /// What is appended to a file's name (RFC 8551, section 3.2.1).
    const fn suffix(self) -> &'static str {
        match self {
            Self::Detached | Self::Text => ".p7s",
            Self::Attached => ".p7m",
        }
    }
}

/// What all files share.
struct Job {
    signer: Signer,
    certificate: Certificate,
    chain: Vec<Certificate>,
    hash: Hash,
    options: Options,
    shape: Shape,
    /// Who gives timestamps, if any are asked for.
    stamper: Option<Timestamper>,
}

pub(crate) async fn run(global: &Global, args: SignCms, terminal: &Terminal) -> Result<Exit, Failure> {
    let what = Sources::of(&args.files, args.output.as_ref())?;
    what.reserve_stdout(terminal);
    let stamper = Timestamper::of(&args.timestamps, global)?;
    let client = daemon::agent(global).await?;
    let key = Key::fetch(&client, &args.key).await?;
    let hash = args.hash.unwrap_or(default_hash(key.algorithm));
    key.serves(Format::Cms, scheme(key.algorithm, hash))?;
    let certificate = of_signer(&client, &key, args.cert.as_deref(), Profile::Code).await?;
    let chain = chain(&args.chain, &certificate)?;
    let (options, shape) = (options(&args), shape(&args));
    let signer = Signer::new(client, args.key, Format::Cms, global.build_id.as_deref());
    let job = Arc::new(Job { signer, certificate, chain, hash, options, shape, stamper });
    what.make_each(terminal, shape.suffix(), move |input, output| sign(Arc::clone(&job), input, output)).await
}

fn shape(args: &SignCms) -> Shape {
    match (args.attached, args.armor) {
        (true, _) => Shape::Attached,
        (false, true) => Shape::Text,
        (false, false) => Shape::Detached,
    }
}

fn options(args: &SignCms) -> Options {
    let attributes = if args.no_attributes {
        Attributes::None
    } else {
        let certificate = if args.cades { SigningCertificate::Named } else { SigningCertificate::Unnamed };
        Attributes::Signed { time: (!args.no_signing_time).then(|| now().into()), certificate }
    };
    Options {
        attributes,
        certificates: if args.no_certificates { Certificates::None } else { Certificates::All },
        signer: if args.key_identifier {
            SignerId::SubjectKeyIdentifier
        } else {
            SignerId::IssuerAndSerialNumber
        },
        form: if args.pkcs7 { Form::Pkcs7 } else { Form::Cms },
    }
}

/// Signs `input` into `output`: read and hashed on a thread, signed by the daemon, written on a thread.
async fn sign(job: Arc<Job>, input: Input, output: File) -> Result<Done, Failure> {
    let path = input.shown().to_owned();
    let read = blocking({
        let (job, path) = (Arc::clone(&job), path.clone());
        move || read(&job, &input, &path)
    });
    let (pending, content, file) = read.await?;
    let name = artifact_name(&path);
    let artifact = Artifact { name: &name, digest: Some(&content.digest) };
    let raw = job.signer.sign_input(artifact, pending.scheme(), pending.input()).await?;
    let mut cms = pending.finish(&raw).map_err(|error| failure(&path, &error))?;
    if let Some(stamper) = &job.stamper {
        cms = stamper.stamp(&path, &cms, Kind::Cms).await?;
    }
    let done = Done::new(Deed::Signed)
        .detail("key", job.signer.key().as_str())
        .detail("subject", job.certificate.subject().to_string())
        .detail("hash", job.hash.as_str());
    blocking(move || write(&job, &cms, &content, file, output).map_err(|error| failure(&path, &error)))
        .await?;
    Ok(done)
}

/// Reads a file; where the signature is to hold it, it stays open.
fn read(job: &Job, input: &Input, path: &Path) -> Result<(Pending, Content, Option<File>), Failure> {
    let failed = |error| failure(path, &error);
    let unreadable = |error| failed(Error::Read(error));
    let (content, file) = match job.shape {
        Shape::Detached | Shape::Text => {
            (Content::read(job.hash, input.open().map_err(unreadable)?).map_err(failed)?, None)
        }
        Shape::Attached => {
            let mut file = input.open_to_read_again().map_err(unreadable)?;
            let content = Content::read(job.hash, &file).map_err(failed)?;
            file.rewind().map_err(unreadable)?;
            (content, Some(file))
        }
    };
    let pending = prepare(&content, &job.certificate, &job.chain, &job.options).map_err(failed)?;
    Ok((pending, content, file))
}

fn write(
    job: &Job,
    cms: &[u8],
    content: &Content,
    file: Option<File>,
    mut output: File,
) -> Result<(), Error> {
    match (job.shape, file) {
        (Shape::Attached, Some(file)) => enclose(cms, content, file, io::BufWriter::new(output)),
        (Shape::Text, _) => {
            output.write_all(to_text(cms, job.options.form)?.as_bytes()).map_err(Error::Write)
        }
        _ => output.write_all(cms).map_err(Error::Write),
    }
}

impl Input {
    /// Opens it to be read twice: the standard input is copied to a file without a name.
    fn open_to_read_again(&self) -> io::Result<File> {
        match self {
            Self::File(path) => {
                let file = File::open(path)?;
                if file.metadata()?.is_dir() {
                    return Err(io::ErrorKind::IsADirectory.into());
                }
                Ok(file)
            }
            Self::Stdin => {
                let mut spool = tempfile::tempfile()?;
                io::copy(&mut io::stdin().lock().by_ref(), &mut spool)?;
                spool.rewind()?;
                Ok(spool)
            }
        }
    }
}
