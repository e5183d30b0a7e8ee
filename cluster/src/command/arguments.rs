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
    /// Lists what is configured, backed up and restored, before it is needed
    Inventory(Inventory),
    /// Tells what restores would read, how much room they need, how long they take
    Plan(Plan),
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

/// Where applications are known from, and how their repositories are reached.
#[derive(Debug, Clone, Default, Args)]
pub struct Known {
    /// A checkout of what Flux applies: its Kustomizations are rendered
    #[arg(long, value_name = "DIR", conflicts_with = "rendered")]
    pub git: Option<PathBuf>,
    /// Rendered manifests: a file, a folder, or - for standard input
    #[arg(short = 'f', long, value_name = "PATH")]
    pub rendered: Option<PathBuf>,
    /// What renders --git: itself, `kustomize`, or the latter where the former cannot
    #[arg(long, value_name = "HOW", value_enum, default_value = "auto", requires = "git")]
    pub renderer: Renderer,
    /// Asks no cluster [default: only where there is none, and --git or -f is given]
    #[arg(long)]
    pub no_cluster: bool,
    /// A repository's Secret as a manifest (YAML or JSON), for all applications
    #[arg(long, value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
    /// The repository of all applications, as the mover takes it (s3://bucket/prefix,
    /// filesystem:///path), instead of their Secrets'
    #[arg(long, value_name = "URL")]
    pub repo: Option<String>,
    /// The repository's password in a file, instead of their Secrets'
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}

/// What renders a tree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Renderer {
    /// Itself; where that cannot do all, `kustomize` or `kubectl kustomize` if it is there
    #[default]
    Auto,
    /// Itself
    Own,
    /// `kustomize`, else `kubectl kustomize`
    Kustomize,
}

/// What `inventory` shows.
#[derive(Debug, Clone, Default, Args)]
#[command(
    after_long_help = "Applications of all namespaces, unless one is named. Ends with 0; with --exit-code 1 where something is to be remarked."
)]
pub struct Inventory {
    /// Where from
    #[command(flatten)]
    pub known: Known,
    /// Looks into no repository, and reads no Secret
    #[arg(long, conflicts_with_all = ["repo", "secret_file", "password_file"])]
    pub no_repository: bool,
    /// As JSON or as a table in Markdown
    #[arg(short, long, value_name = "FORM", value_enum)]
    pub output: Option<Form>,
    /// Ends with 1 where something is to be remarked
    #[arg(long)]
    pub exit_code: bool,
}

/// In which form an inventory is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// One document
    Json,
    /// A table for a runbook
    Markdown,
}

/// What `plan` tells.
#[derive(Debug, Clone, Default, Args)]
pub struct Plan {
    /// Only these: a claim's name, or that of its restore or backups [default: all of the namespace]
    #[arg(value_name = "APP", conflicts_with = "all")]
    pub applications: Vec<String>,
    /// Those of all namespaces
    #[arg(long, conflicts_with = "namespace")]
    pub all: bool,
    /// Where from
    #[command(flatten)]
    pub known: Known,
    /// Tells how long they take over a link of this speed that all share (100MB/s, 1Gbit/s)
    #[arg(long, value_name = "RATE", value_parser = rekopia::parse_link)]
    pub link: Option<u64>,
    /// Tells how long they take, by reading at most 64 MiB of each
    #[arg(long)]
    pub probe: bool,
    /// How many run at once [default: all, as VolSync does]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub at_once: Option<u32>,
    /// As JSON
    #[arg(short, long, value_name = "FORM", value_enum)]
    pub output: Option<PlanForm>,
}

/// In which form a plan is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PlanForm {
    /// One document
    Json,
}
