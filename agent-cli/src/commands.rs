//! The commands, one file each.

mod audit_verify;
mod completions;
mod csr;
mod edit_efi;
pub(crate) mod integrate;
mod key_cert;
mod key_generate;
mod key_show;
mod keys;
mod make_cert;
pub(crate) mod man;
mod prepare_efi;
mod reload;
mod self_sign;
mod show_efi;
pub(crate) mod show_variable;
mod sign_cms;
mod sign_efi;
mod sign_module;
pub(crate) mod sign_openpgp;
mod sign_prepared;
mod sign_rpm;
mod sign_ssh;
mod sign_variable;
mod status;
mod timestamp_cms;
mod timestamp_efi;
mod verify_cms;
mod verify_efi;
mod verify_module;
mod verify_openpgp;
mod verify_rpm;
mod verify_variable;

pub(crate) use man::StandIn;

use crate::args::{
    Args, AttachCommand, AuditCommand, Command, KeyCommand, OpenpgpCommand, PrepareCommand, ShowCommand,
    SignCommand, TimestampCommand, UnsignCommand, VerifyCommand, X509Command,
};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::Terminal;

/// Does what was asked.
pub(crate) async fn run(args: Args, terminal: &Terminal) -> Result<Exit, Failure> {
    let global = &args.global;
    match args.command {
        Command::Keys => keys::run(global, terminal).await,
        Command::Key(KeyCommand::Show(args)) => key_show::run(global, &args, terminal).await,
        Command::Key(KeyCommand::Cert(args)) => key_cert::run(global, args, terminal).await,
        Command::Key(KeyCommand::Generate(args)) => key_generate::run(global, args, terminal).await,
        Command::Openpgp(OpenpgpCommand::MakeCert(args)) => make_cert::run(global, args, terminal).await,
        Command::X509(X509Command::SelfSign(args)) => self_sign::run(global, args, terminal).await,
        Command::X509(X509Command::Csr(args)) => csr::run(global, args, terminal).await,
        Command::Sign(SignCommand::Openpgp(args)) => sign_openpgp::run(global, args, terminal).await,
        Command::Sign(SignCommand::Rpm(args)) => sign_rpm::run(global, args, terminal).await,
        Command::Sign(SignCommand::Ssh(args)) => sign_ssh::run(global, args, terminal).await,
        Command::Sign(SignCommand::Module(args)) => sign_module::run(global, args, terminal).await,
        Command::Sign(SignCommand::Cms(args)) => sign_cms::run(global, args, terminal).await,
        Command::Sign(SignCommand::Efi(args)) if args.prepared => {
            sign_prepared::run(global, args, terminal).await
        }
        Command::Sign(SignCommand::Efi(args)) => sign_efi::run(global, args, terminal).await,
        Command::Sign(SignCommand::EfiVariable(args)) => sign_variable::run(global, args, terminal).await,
        Command::Verify(VerifyCommand::Cms(args)) => verify_cms::run(global, args, terminal).await,
        Command::Verify(VerifyCommand::Efi(args)) => verify_efi::run(global, args, terminal).await,
        Command::Verify(VerifyCommand::EfiVariable(args)) => {
            verify_variable::run(global, args, terminal).await
        }
        Command::Show(ShowCommand::Efi(args)) => show_efi::run(&args, terminal),
        Command::Show(ShowCommand::EfiVariable(args)) => show_variable::run(&args, terminal),
        Command::Unsign(UnsignCommand::Efi(args)) => edit_efi::unsign(args, terminal).await,
        Command::Prepare(PrepareCommand::Efi(args)) => prepare_efi::run(args, terminal).await,
        Command::Attach(AttachCommand::Efi(args)) => edit_efi::put(args, terminal).await,
        Command::Verify(VerifyCommand::Module(args)) => verify_module::run(global, args, terminal).await,
        Command::Verify(VerifyCommand::Openpgp(args)) => verify_openpgp::run(global, args, terminal).await,
        Command::Verify(VerifyCommand::Rpm(args)) => verify_rpm::run(global, args, terminal).await,
        Command::Timestamp(TimestampCommand::Cms(args)) => timestamp_cms::run(global, args, terminal).await,
        Command::Timestamp(TimestampCommand::Efi(args)) => timestamp_efi::run(global, args, terminal).await,
        Command::Audit(AuditCommand::Verify(args)) => audit_verify::run(&args, terminal),
        Command::Status(args) => status::run(global, &args, terminal).await,
        Command::Reload => reload::run(global, terminal).await,
        Command::Integrate(args) => integrate::run(&args, terminal),
        Command::Completions { shell } => completions::run(shell, terminal),
        Command::Man { folder } => man::run(&folder, terminal),
    }
}
