//! A token's folder: the module's configuration, its files, the PIN, and the table that the daemon needs.
//!
//! ```text
//! softhsm2.conf   where the module looks (kryoptic.toml for Kryoptic)
//! tokens/         the module's own files
//! pin             the user PIN, mode 0600, without a line end
//! token.toml      the token as chanceryd.toml's table `[token.main]`
//! ```

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use chancery_protocol::{Algorithm, KeyName};

use crate::companion;
use crate::error::doing;
use crate::module::quoted;
use crate::{Error, Module};

/// A folder that holds one token and all that is needed to use it.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
    module: Module,
    label: String,
    pin_file: PathBuf,
    environment: Vec<(String, String)>,
}

impl Folder {
    /// Makes a token in a folder that is not there yet (or empty), with a random PIN and these keys.
    ///
    /// The security officer's PIN is random too and kept nowhere.
    pub fn create(path: &Path, label: &str, keys: &[(KeyName, Algorithm)]) -> Result<Self, Error> {
        if label.is_empty() || label.len() > 32 || !label.bytes().all(stands_in_a_uri) {
            return Err(Error::BadLabel(label.to_owned()));
        }
        let module = Module::find()?;
        let folder = Self::at(new_folder(path)?, module, label.to_owned());
        let filled = folder.fill(keys);
        if filled.is_err() {
            // It was new or empty, so nothing of anybody else's goes with half a token.
            let _ = fs::remove_dir_all(&folder.path);
        }
        filled.map(|()| folder)
    }

    /// The token in a folder that [`Self::create`] made.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = path.join(DESCRIPTION);
        let bad = |why: String| Error::NotAToken { path: file.clone(), why };
        let text = fs::read_to_string(&file).map_err(|error| bad(error.to_string()))?;
        let table: toml::Table =
            text.parse().map_err(|error: toml::de::Error| bad(error.message().to_owned()))?;
        let main = table.get("token").and_then(|token| token.get("main"));
        let word = |name: &str| {
            let value = main.and_then(|main| main.get(name)).and_then(toml::Value::as_str);
            value.ok_or_else(|| bad(format!("it has no `{name}` under [token.main]")))
        };
        let module = Module::at(Path::new(word("module")?))
            .ok_or_else(|| bad("its module is neither SoftHSM nor Kryoptic".to_owned()))?;
        let label = word("uri")?
            .strip_prefix(URI)
            .ok_or_else(|| bad(format!("its uri does not begin with {URI}")))?;
        let path = path.canonicalize().map_err(doing(|| format!("find {}", path.display())))?;
        Ok(Self::at(path, module, label.to_owned()))
    }

    /// Generates a key pair in the token: private, sensitive, not extractable, for signing only.
    pub fn generate(&self, name: &str, algorithm: Algorithm) -> Result<(), Error> {
        companion::generate(self, &name.parse()?, algorithm)
    }

    /// Lets every key sign once and the module verify it; one line for each key: its name and attributes.
    pub fn check(&self) -> Result<String, Error> {
        companion::check(self)
    }

    /// Copies the token into a folder that is not there yet (or empty). From then on the two have nothing in common
    /// but keys and PIN.
    pub fn copy(&self, path: &Path) -> Result<Self, Error> {
        let copy = Self::at(new_folder(path)?, self.module.clone(), self.label.clone());
        copy_tree(&self.tokens(), &copy.tokens())?;
        let pin = fs::read(&self.pin_file).map_err(doing(|| format!("read {}", self.pin_file.display())))?;
        write_private(&copy.pin_file, &pin)?;
        copy.describe()?;
        Ok(copy)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.path
    }

    /// The PKCS#11 module's shared object.
    pub fn module(&self) -> &Path {
        self.module.path()
    }

    /// The token's label.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The token's PKCS#11 URI (RFC 7512): `pkcs11:token=LABEL`.
    pub fn uri(&self) -> String {
        format!("{URI}{}", self.label)
    }

    /// The file with the user PIN, mode 0600: the PIN and nothing else, not even a line end.
    pub fn pin_file(&self) -> &Path {
        &self.pin_file
    }

    /// What the module needs to find in the environment of the process that loads it.
    pub fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    /// The token as the table `[token.NAME]` of chanceryd.toml.
    pub fn config_toml(&self, name: &str) -> String {
        table(name, self.module(), &self.uri(), &self.pin_file, &self.environment)
    }

    fn at(path: PathBuf, module: Module, label: String) -> Self {
        let config = path.join(module.config_name()).display().to_string();
        let environment = vec![(module.variable().to_owned(), config)];
        Self { pin_file: path.join("pin"), path, module, label, environment }
    }

    fn tokens(&self) -> PathBuf {
        self.path.join("tokens")
    }

    fn fill(&self, keys: &[(KeyName, Algorithm)]) -> Result<(), Error> {
        private_folder(&self.tokens())?;
        write_private(&self.pin_file, random_pin()?.as_bytes())?;
        self.describe()?;
        companion::initialize(self, keys)
    }

    /// Writes the two files that hold the folder's own path.
    fn describe(&self) -> Result<(), Error> {
        let config = self.module.config(&self.tokens());
        write_private(&self.path.join(self.module.config_name()), config.as_bytes())?;
        write_private(&self.path.join(DESCRIPTION), self.config_toml("main").as_bytes())
    }
}

/// The daemon's table for one token.
pub(crate) fn table(
    name: &str,
    module: &Path,
    uri: &str,
    pin_file: &Path,
    environment: &[(String, String)],
) -> String {
    let environment: Vec<_> =
        environment.iter().map(|(name, value)| format!("{name} = {}", quoted(value))).collect();
    format!(
        "[token.{name}]\nmodule = {}\nuri = {}\npin = {{ file = {} }}\nenvironment = {{ {} }}\n",
        quoted(&module.display().to_string()),
        quoted(uri),
        quoted(&pin_file.display().to_string()),
        environment.join(", ")
    )
}

/// Whether a byte needs no percent sign in a PKCS#11 URI's attribute (RFC 7512, section 2.3, narrowed to plain names).
fn stands_in_a_uri(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)
}

/// 128 random bits in hexadecimal: within every module's limits on length and alphabet.
fn random_pin() -> Result<String, Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(doing(|| "get random bytes for a PIN".to_owned()))?;
    Ok(hex::encode(bytes))
}

/// Makes a folder, or takes an empty one; its absolute path.
fn new_folder(path: &Path) -> Result<PathBuf, Error> {
    private_folder(path)?;
    if fs::read_dir(path).map_err(doing(|| format!("read {}", path.display())))?.next().is_some() {
        return Err(Error::Occupied(path.to_owned()));
    }
    path.canonicalize().map_err(doing(|| format!("find {}", path.display())))
}

fn private_folder(path: &Path) -> Result<(), Error> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(doing(|| format!("make {}", path.display())))
}

/// Writes a file that only its owner can read, whatever the umask; the file is new or replaced.
fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let write = || {
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(bytes)
    };
    write().map_err(doing(|| format!("write {}", path.display())))
}

fn copy_tree(from: &Path, to: &Path) -> Result<(), Error> {
    private_folder(to)?;
    let reading = || format!("read {}", from.display());
    for entry in fs::read_dir(from).map_err(doing(reading))? {
        let entry = entry.map_err(doing(reading))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().map_err(doing(reading))?.is_dir() {
            copy_tree(&source, &target)?;
        } else {
            fs::copy(&source, &target).map_err(doing(|| format!("copy {}", source.display())))?;
        }
    }
    Ok(())
}

const URI: &str = "pkcs11:token=";
const DESCRIPTION: &str = "token.toml";
