//! Inside the engine everything flows one way: who may name whom, read from the source.

use rekopia_testkit::layers::Table;

/// Module → what it may name of the crate. A path allows everything below it.
///
/// The stages stand in their order; each may name earlier ones, never a later one. All of them enter what they did in the
/// `ledger` and ask the `run_state` whether to go on, so these name no stage.
const TABLE: Table<'_> = &[
    ("differs", ""),
    ("hint", ""),
    ("manual", ""),
    ("error", "hint"),
    ("limits", ""),
    ("observer", "differs"),
    ("text", ""),
    ("zone", "error"),
    // The index, from a record to the table.
    ("repository::index::fanout", ""),
    ("repository::index::limit", ""),
    ("repository::index::location", ""),
    ("repository::index::packs", "repository::index::limit repository::index::location"),
    ("repository::index::record", "repository::index::location repository::index::packs"),
    ("repository::index::spill", "repository::index::record"),
    ("repository::index::merge", "repository::index::record repository::index::spill"),
    (
        "repository::index::table",
        "error repository::index::fanout repository::index::location repository::index::record \
         repository::index::spill",
    ),
    (
        "repository::index::builder",
        "repository::index::fanout repository::index::limit repository::index::merge repository::index::packs \
         repository::index::record repository::index::spill repository::index::table",
    ),
    ("repository::index", "repository::index"),
    ("repository::index::tests", "error repository::index"),
    // What an open repository is made of, and what is found in it.
    ("repository::folder", "error"),
    ("repository::info", ""),
    ("repository::traffic", ""),
    ("repository::options", "repository::index"),
    ("repository::index_set", ""),
    ("repository::metadata_blocks", "repository::index"),
    ("repository::repairs", ""),
    (
        "repository::contents",
        "error repository::index repository::metadata_blocks repository::repairs repository::traffic",
    ),
    ("repository::salvage::kept", "error"),
    ("repository::salvage::pack_end", "error repository::salvage::kept repository::traffic"),
    ("repository::salvage::replica", "error repository::traffic"),
    (
        "repository::salvage::scan",
        "error observer repository::index repository::salvage::kept repository::salvage::pack_end \
         repository::traffic",
    ),
    ("repository::salvage::salvaged", "error observer repository::index repository::salvage::scan"),
    ("repository::salvage", "repository::salvage"),
    (
        "repository::load",
        "error hint repository::index repository::index_set repository::repairs repository::salvage repository::traffic",
    ),
    (
        "repository::open",
        "error hint observer repository::contents repository::folder repository::index repository::load \
         repository::options repository::repairs repository::salvage repository::traffic zone",
    ),
    ("repository::snapshots", "error repository::contents zone"),
    ("repository", "error observer repository"),
    ("repository::as_of", "error repository::snapshots zone"),
    ("repository::near", "error hint repository::snapshots"),
    ("repository::reference", "error repository::near"),
    ("repository::read_ahead", "error repository::contents"),
    ("repository::objects", "error repository::Repository repository::contents repository::read_ahead"),
    (
        "repository::listed_packs",
        "error repository::Repository repository::contents repository::index repository::objects \
         repository::read_ahead",
    ),
    (
        "repository::file",
        "error repository::Repository repository::contents repository::listed_packs repository::objects \
         repository::read_ahead",
    ),
    ("repository::async_file", "error repository::file"),
    (
        "repository::unindexed",
        "error hint observer repository::Repository repository::contents repository::index repository::near \
         repository::reference repository::salvage repository::snapshots",
    ),
    (
        "repository::roots",
        "error observer repository::Repository repository::contents repository::objects repository::read_ahead \
         repository::snapshots",
    ),
    ("repository::trees", "error repository::listed_packs repository::objects repository::read_ahead"),
    (
        "repository::whole",
        "error repository::Repository repository::listed_packs repository::snapshots repository::trees",
    ),
    (
        "repository::resolve",
        "error hint repository::Repository repository::near repository::objects repository::read_ahead \
         repository::reference repository::snapshots",
    ),
    // What state a repository is in.
    ("doctor::finding", ""),
    ("doctor::blobs", "error repository::contents repository::index doctor::finding"),
    ("doctor::examine", "error observer repository zone doctor::blobs doctor::finding"),
    ("doctor", "doctor"),
    // The sink: values and handles, the destination as all share it, and what is done to it.
    ("sink::attributes", ""),
    ("sink::closed", ""),
    ("sink::closing", ""),
    ("sink::error", "error"),
    ("sink::mounts", ""),
    ("sink::whole_file", ""),
    ("sink::report_file", ""),
    ("sink::digested", ""),
    ("sink::digest_record", ""),
    ("sink::aside", "sink::mounts"),
    ("sink::descent", "sink::mounts"),
    ("sink::existing", "sink::attributes"),
    ("sink::folding", "sink::mounts"),
    ("sink::overlap", "sink::error sink::mounts"),
    ("sink::swallowed", "sink::attributes"),
    ("sink::node", "sink::aside sink::attributes"),
    ("sink::remove", "sink::closed sink::descent sink::mounts"),
    ("sink::handles", "sink::mounts sink::node"),
    ("sink::beside", "sink::closing sink::handles sink::node"),
    ("sink::open_files", "sink::attributes sink::closing sink::handles sink::node"),
    ("sink::subject", "sink::handles"),
    ("sink::staged", "sink::beside"),
    (
        "sink::state",
        "sink::attributes sink::handles sink::node sink::open_files sink::remove sink::swallowed",
    ),
    ("sink::mark", "sink::state"),
    ("sink::digest_files", "sink::attributes sink::closed sink::digest_record sink::digested sink::mounts"),
    ("sink::digest_walk", "sink::attributes sink::digest_files sink::mounts"),
    (
        "sink::tree_digest",
        "sink::attributes sink::digest_files sink::digest_record sink::digest_walk sink::digested sink::error",
    ),
    ("sink::names", "sink::error sink::mounts sink::node sink::state"),
    ("sink::space", "sink::error sink::state"),
    ("sink::speed", "sink::space sink::state"),
    (
        "sink::start",
        "sink::attributes sink::error sink::handles sink::mounts sink::node sink::open_files sink::overlap \
         sink::remove sink::state sink::swallowed",
    ),
    ("sink::sync", "sink::error sink::state"),
    (
        "sink::in_the_way",
        "sink::aside sink::error sink::existing sink::handles sink::mounts sink::node sink::remove sink::state",
    ),
    (
        "sink::look",
        "sink::beside sink::error sink::existing sink::folding sink::node sink::remove sink::state",
    ),
    ("sink::list", "sink::aside sink::error sink::folding sink::handles sink::node sink::remove sink::state"),
    (
        "sink::open_dir",
        "sink::aside sink::attributes sink::closed sink::error sink::existing sink::folding sink::handles \
         sink::in_the_way sink::mounts sink::node sink::remove sink::space sink::state",
    ),
    (
        "sink::metadata",
        "sink::attributes sink::error sink::existing sink::handles sink::node sink::state sink::subject \
         sink::swallowed",
    ),
    ("sink::finish_dir", "sink::attributes sink::error sink::handles sink::metadata sink::node sink::state"),
    ("sink::reopen", "sink::closed sink::error sink::existing sink::handles sink::node sink::state"),
    (
        "sink::file",
        "sink::attributes sink::closing sink::error sink::handles sink::metadata sink::node sink::open_files \
         sink::state",
    ),
    (
        "sink::link",
        "sink::attributes sink::beside sink::error sink::existing sink::metadata sink::node sink::state",
    ),
    ("sink::left_over", "sink::error sink::file sink::node sink::state"),
    (
        "sink::patch",
        "sink::attributes sink::beside sink::closing sink::error sink::existing sink::file sink::handles \
         sink::metadata sink::node sink::reopen sink::staged sink::state",
    ),
    (
        "sink::settle",
        "sink::attributes sink::error sink::existing sink::metadata sink::node sink::patch sink::reopen sink::state",
    ),
    ("sink::remove_extra", "sink::attributes sink::handles sink::metadata sink::remove sink::state"),
    (
        "sink::compare",
        "text sink::attributes sink::error sink::existing sink::node sink::state sink::swallowed",
    ),
    ("sink", "sink"),
    ("hashing", "limits observer sink"),
    // What the stages share: plain values and counters.
    ("restore::clock", ""),
    ("restore::estimate", ""),
    ("restore::differs", "differs sink text"),
    ("restore::verified", ""),
    (
        "restore::report",
        "differs error repository sink::TreeDigest restore::clock restore::estimate restore::verified",
    ),
    ("restore::options", "observer::Cancel sink::OwnerPolicy restore::report::Deletion"),
    ("restore::credits", ""),
    ("restore::unrestored", ""),
    ("restore::filter", "error"),
    ("restore::slot", "error sink"),
    ("restore::tree", "error repository::reference sink::DirNode restore::slot"),
    ("restore::destination", "sink"),
    ("restore::sinks", "sink"),
    // The plan is pure; some of its reads are kept for a probe.
    ("restore::plan", "repository::index"),
    ("restore::sample", "repository::index restore::plan"),
    ("restore::report_lines", "error sink::create_report_file"),
    (
        "restore::ledger",
        "error sink::Attributes restore::clock restore::differs restore::estimate restore::plan restore::report \
         restore::report_lines restore::sample restore::slot restore::unrestored",
    ),
    (
        "restore::run_state",
        "error observer sink::SinkError restore::differs restore::ledger restore::options restore::report",
    ),
    ("restore::ticker", "observer repository restore::ledger"),
    (
        "restore::finish",
        "error sink::FidelityIssue restore::destination restore::ledger restore::run_state restore::slot",
    ),
    ("restore::compare_disk", "sink"),
    ("restore::verify_source", ""),
    ("restore::worker_threads", ""),
    // The stages of a pass. Walk does not look at the destination; plan is pure; fetch and decode open no files.
    ("restore::names", "sink::folding"),
    ("restore::walked", "error repository::objects restore::slot"),
    (
        "restore::walk",
        "error observer repository restore::clock restore::filter restore::names restore::slot restore::walked",
    ),
    (
        "restore::walking",
        "error observer repository restore::clock restore::filter restore::options restore::tree restore::walk \
         restore::walked",
    ),
    (
        "restore::reconcile",
        "error limits repository sink restore::compare_disk restore::ledger restore::options restore::run_state \
         restore::slot restore::walked",
    ),
    ("restore::cost", "restore::plan"),
    ("restore::probe", "error repository restore::cost restore::plan"),
    (
        "restore::fetch",
        "error repository restore::clock restore::cost restore::credits restore::plan restore::slot",
    ),
    ("restore::decode", "error repository restore::fetch restore::plan"),
    (
        "restore::write",
        "error observer sink restore::destination restore::fetch restore::finish restore::ledger restore::slot",
    ),
    (
        "restore::workers",
        "error repository sink::FidelityIssue restore::clock restore::decode restore::fetch restore::finish \
         restore::ledger restore::plan restore::slot restore::verify_source restore::worker_threads restore::write",
    ),
    (
        "restore::window",
        "error repository restore::clock restore::cost restore::destination restore::fetch restore::ledger \
         restore::options restore::plan restore::reconcile restore::run_state restore::slot restore::walked \
         restore::workers",
    ),
    // What wires them.
    (
        "restore::pass",
        "error limits repository restore::cost restore::credits restore::destination restore::fetch restore::finish \
         restore::ledger restore::options restore::plan restore::run_state restore::slot restore::tree \
         restore::walking restore::window restore::worker_threads restore::workers restore::write",
    ),
    // What is known before anything is touched, by a walk of its own.
    ("restore::extras", "error repository::index::spill sink restore::report"),
    ("restore::proof", "error repository restore::extras"),
    (
        "restore::survey",
        "error repository sink restore::extras restore::filter restore::ledger restore::options restore::proof \
         restore::slot restore::walked",
    ),
    (
        "restore::prove",
        "error observer repository sink restore::ledger restore::options restore::proof restore::survey \
         restore::tree restore::walking",
    ),
    // The stages of a run, each a value that the next one takes.
    (
        "restore::run",
        "error hint observer repository sink restore::destination restore::ledger restore::options restore::pass \
         restore::report restore::run_state restore::ticker restore::tree restore::unrestored",
    ),
    (
        "restore::estimated",
        "error limits observer sink restore::estimate restore::options restore::pass restore::probe restore::run \
         restore::sinks",
    ),
    (
        "restore::against",
        "differs error repository sink restore::compare_disk restore::decode restore::differs restore::filter \
         restore::ledger restore::run restore::run_state restore::slot restore::tree restore::walked \
         restore::walking",
    ),
    ("restore::losses", "error repository sink restore::ledger restore::run"),
    (
        "restore::delete_extra",
        "error observer sink restore::extras restore::ledger restore::pass restore::prove restore::report \
         restore::run",
    ),
    (
        "restore::verify_target",
        "error repository sink restore::compare_disk restore::destination restore::finish restore::ledger \
         restore::options restore::run_state restore::slot restore::tree restore::walked restore::walking",
    ),
    (
        "restore::others",
        "error sink restore::run restore::slot restore::tree restore::unrestored restore::walked restore::walking",
    ),
    ("restore::digest_target", "error hashing observer sink restore::options restore::others restore::run"),
    (
        "restore::tidied",
        "error observer sink restore::clock restore::digest_target restore::options restore::pass restore::report \
         restore::run restore::verify_target",
    ),
    (
        "restore::passed",
        "error observer sink restore::delete_extra restore::destination restore::extras restore::pass restore::proof \
         restore::run restore::tidied",
    ),
    (
        "restore::proven",
        "error hint observer text restore::delete_extra restore::destination restore::estimated restore::extras \
         restore::passed restore::proof restore::report restore::run restore::sinks",
    ),
    (
        "restore::prepared",
        "error repository sink restore::filter restore::options restore::prove restore::proven restore::run \
         restore::sinks restore::slot",
    ),
    (
        "restore::compose",
        "error observer repository sink::DirNode restore::destination restore::options restore::prepared \
         restore::report restore::run restore::tree",
    ),
    ("restore", "restore"),
    // Several trees as one set: values, then the walk, the sweep and what they found.
    ("verify::bits", ""),
    ("verify::ranges", ""),
    ("verify::options", "restore::options"),
    ("verify::coverage", "error verify::ranges"),
    ("verify::draw", "repository::index"),
    ("verify::damage", "error verify::bits"),
    ("verify::needed", "error repository verify::bits"),
    (
        "verify::gather",
        "error observer repository restore::ledger verify::bits verify::damage verify::needed",
    ),
    ("verify::tally", "error observer repository restore::ledger verify::damage verify::ranges"),
    (
        "verify::check",
        "error repository restore::clock restore::decode restore::fetch restore::plan restore::verify_source restore::worker_threads \
         verify::tally",
    ),
    ("verify::presence", "error repository verify::needed verify::tally"),
    (
        "verify::sweep",
        "error limits observer repository restore::cost restore::credits restore::fetch restore::ledger restore::options \
         restore::pass restore::plan restore::worker_threads verify::check verify::coverage verify::draw \
         verify::needed verify::ranges verify::tally text::human_size",
    ),
    ("verify::affected", "error repository verify::damage verify::gather verify::needed"),
    (
        "verify::set",
        "error observer repository restore::ledger restore::options restore::report restore::run restore::ticker \
         restore::verified verify::affected verify::coverage verify::damage verify::draw verify::gather \
         verify::needed verify::options verify::presence verify::sweep verify::tally",
    ),
    ("verify", "verify"),
    // Receipts: a restore's report as a document, and that document against a directory.
    ("receipt::escape", ""),
    ("receipt::document", "error sink"),
    ("receipt::of_run", "repository restore sink text receipt::document receipt::escape"),
    ("receipt::check", "error hashing observer sink receipt::document receipt::escape"),
    ("receipt", "receipt"),
    ("", "differs doctor error hint limits observer receipt repository restore sink text verify zone"),
];

rekopia_testkit::layers_of_this_crate!(TABLE);
