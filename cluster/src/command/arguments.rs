//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::observe::Access;

/// The group of options about repositories.
const REPOSITORY: &str = "Repositories";

/// Shows and explains a cluster whose volumes restore themselves. It only reads.
#[derive(Debug, Parser)]
#[command(name = "kubectl-rekopia", bin_name = "kubectl rekopia", version, max_term_width = 80)]
#[command(disable_help_subcommand = true, arg_required_else_help = true)]
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
#[command(next_help_heading = "Cluster")]
pub struct Global {
    /// Applications of this namespace [default: current]
    ///
    /// The current one is that of the context.
    #[arg(short, long, global = true, value_name = "NS", conflicts_with = "all_namespaces")]
    pub namespace: Option<String>,
    /// Applications of all namespaces
    #[arg(short = 'A', long, global = true)]
    pub all_namespaces: bool,
    /// Kubeconfig [default: KUBECONFIG, ~/.kube/config]
    ///
    /// In a pod without either: the account of the pod.
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig [default: the current one]
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
    ///
    /// Ends with 0 fine, 1 broken, 3 still going on.
    Doctor(Doctor),
    /// Lists what is backed up, and what a restore would find
    ///
    /// Applications of all namespaces, unless one is named. Ends with 0; with --exit-code 1
    /// where something is to be remarked.
    Inventory(Inventory),
    /// Tells how much restores would read, and how long it takes
    ///
    /// Also how much room they need.
    Plan(Plan),
    /// Prints a script that completes commands in a shell
    Completions {
        /// The shell: bash, elvish, fish, powershell or zsh
        shell: clap_complete::Shell,
    },
    /// Prints the manual page: every command, every option
    Man,
}

/// How `status` shows it.
#[derive(Debug, Clone, Default, Args)]
pub struct Status {
    /// Only these: names of claims [default: all of the namespace]
    ///
    /// Also names of their restore, backups or Kustomization.
    #[arg(value_name = "APP")]
    pub applications: Vec<String>,
    /// Goes on until all are done
    #[arg(short, long)]
    pub watch: bool,
    /// Form: wide (a table with everything) or json
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
pub struct Doctor {
    /// Name of a claim, or of what belongs to it [default: all not done]
    ///
    /// An application, or pvc/NAME, pod/NAME, job/NAME, rd/NAME.
    #[arg(value_name = "APP")]
    pub target: Option<String>,
    /// Form: json [default: text]
    #[arg(short, long, value_name = "FORM", value_enum)]
    pub output: Option<Output>,
    /// Looks into the repositories [default: with APP]
    ///
    /// With an application that is named this is done anyway.
    #[arg(long, help_heading = REPOSITORY)]
    pub repository: bool,
    /// Looks into no repository, and reads no Secret
    #[arg(long, conflicts_with = "repository", help_heading = REPOSITORY)]
    pub no_repository: bool,
    /// Its Secret as a manifest, instead of the cluster's
    ///
    /// The repository's Secret in YAML or JSON.
    #[arg(long, value_name = "FILE", requires = "target", conflicts_with = "no_repository", help_heading = REPOSITORY)]
    pub secret_file: Option<PathBuf>,
    /// Its URL, instead of the Secret's
    ///
    /// As the mover takes it: s3://bucket/prefix, filesystem:///path.
    #[arg(long, value_name = "URL", requires = "target", conflicts_with = "no_repository", help_heading = REPOSITORY)]
    pub repo: Option<String>,
    /// Its password in a file, instead of the Secret's
    #[arg(long, value_name = "FILE", requires = "target", conflicts_with = "no_repository", help_heading = REPOSITORY)]
    pub password_file: Option<PathBuf>,
}

/// Where applications are known from, and how their repositories are reached.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Where from")]
pub struct Known {
    /// Checkout of what Flux applies; it is rendered
    #[arg(long, value_name = "DIR", conflicts_with = "rendered")]
    pub git: Option<PathBuf>,
    /// Rendered manifests: a file, a folder, - for stdin
    #[arg(short = 'f', long, value_name = "PATH")]
    pub rendered: Option<PathBuf>,
    /// With --git: auto (default), own or kustomize
    ///
    /// auto: this program; where it cannot do all, `kustomize`. own: this program alone.
    /// kustomize: `kustomize`, else `kubectl kustomize`.
    #[arg(long, value_name = "HOW", value_enum, default_value = "auto", requires = "git")]
    pub renderer: Renderer,
    /// Asks no cluster
    ///
    /// Default: only where there is none, and --git or -f is given.
    #[arg(long)]
    pub no_cluster: bool,
    /// Secret as a manifest, instead of the cluster's
    ///
    /// A repository's Secret in YAML or JSON, for all applications.
    #[arg(long, value_name = "FILE", help_heading = REPOSITORY)]
    pub secret_file: Option<PathBuf>,
    /// URL for all applications, instead of the Secrets'
    ///
    /// As the mover takes it: s3://bucket/prefix, filesystem:///path.
    #[arg(long, value_name = "URL", help_heading = REPOSITORY)]
    pub repo: Option<String>,
    /// Password in a file, instead of the Secrets'
    #[arg(long, value_name = "FILE", help_heading = REPOSITORY)]
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
pub struct Inventory {
    /// Looks into no repository, and reads no Secret
    #[arg(long, conflicts_with_all = ["repo", "secret_file", "password_file"], help_heading = REPOSITORY)]
    pub no_repository: bool,
    /// Form: json or markdown [default: text]
    #[arg(short, long, value_name = "FORM", value_enum)]
    pub output: Option<Form>,
    /// Ends with 1 where something is to be remarked
    #[arg(long)]
    pub exit_code: bool,
    /// Where from
    #[command(flatten)]
    pub known: Known,
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
    /// Only these: names of claims [default: all of the namespace]
    ///
    /// Also names of their restore or backups.
    #[arg(value_name = "APP", conflicts_with = "all")]
    pub applications: Vec<String>,
    /// Those of all namespaces
    #[arg(long, conflicts_with = "namespace")]
    pub all: bool,
    /// Tells the time over such a link: 100MB/s, 1Gbit/s
    ///
    /// All restores share the link.
    #[arg(long, value_name = "RATE", value_parser = rekopia::parse_link)]
    pub link: Option<u64>,
    /// Tells the time, by reading at most 64 MiB of each
    #[arg(long)]
    pub probe: bool,
    /// Restores at the same time [default: all]
    ///
    /// VolSync runs all at the same time.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub at_once: Option<u32>,
    /// Form: json [default: text]
    #[arg(short, long, value_name = "FORM", value_enum)]
    pub output: Option<PlanForm>,
    /// Where from
    #[command(flatten)]
    pub known: Known,
}

/// In which form a plan is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PlanForm {
    /// One document
    Json,
}
