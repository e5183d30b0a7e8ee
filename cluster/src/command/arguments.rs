//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::observe::Access;

/// Shows and explains a cluster whose volumes restore themselves. It only reads.
#[derive(Debug, Parser)]
#[command(name = "kubectl-rekopia", bin_name = "kubectl rekopia", version, disable_help_subcommand = true)]
#[command(after_help = "Examples:\n  kubectl rekopia status -A\n  kubectl rekopia doctor -n media paperless")]
pub struct Arguments {
    /// Which cluster, which namespaces
    #[command(flatten)]
    pub global: Global,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// Which cluster, which namespaces.
#[derive(Debug, Clone, Default, Args)]
pub struct Global {
    /// Applications of this namespace [default: that of the context]
    #[arg(short, long, global = true, value_name = "NS", conflicts_with = "all_namespaces")]
    pub namespace: Option<String>,
    /// Applications of all namespaces
    #[arg(short = 'A', long, global = true)]
    pub all_namespaces: bool,
    /// Kubeconfig to use [default: KUBECONFIG, ~/.kube/config, the pod's account]
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
}

impl Global {
    /// Which cluster.
    #[must_use]
    pub fn access(&self) -> Access {
        Access { kubeconfig: self.kubeconfig.clone(), context: self.context.clone() }
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Shows where each application's restore stands
    Status(Status),
    /// Explains what is broken, and what to do
    Doctor(Doctor),
    /// Prints completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Prints the manual page
    Man,
}

/// How `status` shows it.
#[derive(Debug, Clone, Default, Args)]
pub struct Status {
    /// Only these: a claim's name, or that of its restore, backups or Kustomization
    #[arg(value_name = "APP")]
    pub applications: Vec<String>,
    /// Goes on until all are done
    #[arg(short, long)]
    pub watch: bool,
    /// As a wide table or as JSON
    #[arg(short, long, value_name = "FORM", value_enum)]
    pub output: Option<Output>,
    /// Ends with 0 fine, 1 broken, 3 still going on
    #[arg(long)]
    pub exit_code: bool,
}

/// In which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// A table with everything
    Wide,
    /// One document
    Json,
}

/// What `doctor` looks at.
#[derive(Debug, Clone, Default, Args)]
#[command(after_long_help = "Ends with 0 fine, 1 broken, 3 still going on.")]
pub struct Doctor {
    /// An application, or pvc/NAME, pod/NAME, job/NAME, rd/NAME [default: all that are not done]
    #[arg(value_name = "APP")]
    pub target: Option<String>,
    /// As JSON
    #[arg(short, long, value_name = "FORM", value_enum)]
    pub output: Option<Output>,
    /// Looks into the repositories, too [default: when one application is named]
    #[arg(long)]
    pub repository: bool,
    /// Looks into no repository, and reads no Secret
    #[arg(long, conflicts_with = "repository")]
    pub no_repository: bool,
    /// The repository's Secret as a manifest (YAML or JSON), instead of asking the cluster for it
    #[arg(long, value_name = "FILE", requires = "target", conflicts_with = "no_repository")]
    pub secret_file: Option<PathBuf>,
    /// The repository as the mover takes it (s3://bucket/prefix, filesystem:///path), instead of the Secret's
    #[arg(long, value_name = "URL", requires = "target", conflicts_with = "no_repository")]
    pub repo: Option<String>,
    /// The repository's password in a file, instead of the Secret's
    #[arg(long, value_name = "FILE", requires = "target", conflicts_with = "no_repository")]
    pub password_file: Option<PathBuf>,
}
