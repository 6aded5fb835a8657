//! Which variable is meant.

use std::fmt;

use super::Guid;

/// EFI_GLOBAL_VARIABLE (UEFI, section 3.3).
const GLOBAL: Guid = Guid::new(0x8be4df61_93ca_11d2_aa0d_00e098032b8c);
/// EFI_IMAGE_SECURITY_DATABASE_GUID (UEFI, section 32.6.1).
const IMAGE_SECURITY: Guid = Guid::new(0xd719b2cb_3d3a_4596_a3bc_dad00e67656f);

/// The variables of Secure Boot (UEFI, sections 3.3 and 32.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Variable {
    /// The platform key: its owner signs changes of PK and KEK.
    Pk,
    /// The key exchange keys: their owners sign changes of the databases.
    Kek,
    /// What may run.
    Db,
    /// What may not, whoever signed it.
    Dbx,
    /// Certificates of timestamp authorities.
    Dbt,
    /// What may run for recovery.
    Dbr,
}

impl Variable {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Pk, Self::Kek, Self::Db, Self::Dbx, Self::Dbt, Self::Dbr];

    /// Its name, in which case counts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pk => "PK",
            Self::Kek => "KEK",
            Self::Db => "db",
            Self::Dbx => "dbx",
            Self::Dbt => "dbt",
            Self::Dbr => "dbr",
        }
    }

    /// The variable of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|variable| variable.as_str() == name)
    }

    /// Whose name space it is in.
    pub const fn vendor(self) -> Guid {
        match self {
            Self::Pk | Self::Kek => GLOBAL,
            _ => IMAGE_SECURITY,
        }
    }
}

impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
