//! `odeon-edge`: reads settings from the environment, runs, says why when it cannot.
use odeon_edge::{Settings, run, settings};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        None => {}
        Some("--version" | "-V") => {
            println!("odeon-edge {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        Some("--help" | "-h") => {
            print!("{}", settings::help());
            return ExitCode::SUCCESS;
        }
        Some(other) => {
            eprintln!(
                "odeon-edge: {other} is not known; settings are environment variables, see --help"
            );
            return ExitCode::from(2);
        }
    }
    match Settings::from_env().and_then(start) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("odeon-edge: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start(settings: Settings) -> Result<(), String> {
    die_with_parent()?;
    raise_descriptor_limit();
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if settings.threads > 0 {
        builder.worker_threads(settings.threads);
    }
    let runtime = builder.enable_all().build().map_err(|e| e.to_string())?;
    let ended = runtime.block_on(run(settings));
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended
}

/// A connection is a descriptor, and the soft limit is usually 1024.
fn raise_descriptor_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Refused: the edge then accepts fewer connections, which it survives.
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    );
}

/// Asks the kernel to end this process with its supervisor, if the supervisor wants it.
fn die_with_parent() -> Result<(), String> {
    if std::env::var("ODEON_DIE_WITH_PARENT").as_deref() != Ok("1") {
        return Ok(());
    }
    let kill = rustix::process::Signal::KILL;
    rustix::process::set_parent_process_death_signal(Some(kill)).map_err(|e| e.to_string())?;
    match rustix::process::getppid() {
        Some(parent) if !parent.is_init() => Ok(()),
        _ => Err("the supervisor is gone".into()),
    }
}
