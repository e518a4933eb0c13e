//! What is told of a request.

use serde::Serialize;

/// What a request comes to. Serialised, it is the answer of `POST /api/explain`.
#[derive(Debug, Default, Serialize)]
pub struct Explanation {
    /// Method and target.
    pub request: String,
    /// One word: `cacheable`, `observed`, `quarantined`, `bypass`, `pass`, `write`, `refused`.
    pub verdict: &'static str,
    /// The same as a sentence.
    pub summary: String,
    /// What was filled in that the question did not say.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub assumed: Vec<String>,
    /// The rule that matches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleShown>,
    /// The limits that count it, whatever becomes of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<LimitShown>,
    /// Why the request may not use it, or is not answered from what is kept: all there is, each with what
    /// would change it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
    /// Where the answer is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyShown>,
    /// Who is served the same answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared_by: Option<String>,
    /// What the origin would be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fill: Option<FillShown>,
    /// What is asked of an answer before it is kept.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kept_if: Vec<String>,
    /// The writes that end it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dropped_by: Vec<DroppedBy>,
    /// What a write drops.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub drops: Vec<Drops>,
    /// What a write has asked for afterwards.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warms: Vec<Warms>,
    /// What else somebody should know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A rule that matches.
#[derive(Debug, Serialize)]
pub struct RuleShown {
    /// Its name.
    pub name: String,
    /// Its line in the rules file.
    pub line: Option<usize>,
    /// The route that matched.
    pub route: String,
    /// `on`, or `observe`.
    pub stage: &'static str,
}

/// A limit that counts a request.
#[derive(Debug, Serialize)]
pub struct LimitShown {
    /// Its name.
    pub name: String,
    /// Its line in the rules file.
    pub line: Option<usize>,
    /// By what it counts.
    pub per: String,
    /// How many requests it lets through.
    pub max: u64,
    /// In which time, as rules files have it.
    pub window: String,
}

/// Why a request may not use its rule, or is not answered from what is kept.
#[derive(Debug, Serialize)]
pub struct Reason {
    /// The word in `Cache-Status`, logs and metrics.
    pub detail: &'static str,
    /// What about the request.
    pub why: String,
    /// The line of the rules file that decides it; the table where nothing is written.
    pub line: Option<usize>,
    /// What would change it.
    pub remedy: String,
}

/// Where an answer is kept.
#[derive(Debug, Serialize)]
pub struct KeyShown {
    /// Without the namespace, as `purge` and `inspect` take it.
    pub name: String,
    /// Each segment.
    pub parts: Vec<PartShown>,
    /// What beside the key sets answers apart.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub variants: Vec<String>,
    /// What has to be as it was for the entry to be served, as patterns.
    pub nodes: Vec<String>,
}

/// One segment of a key.
#[derive(Debug, Serialize)]
pub struct PartShown {
    /// As the rule has it.
    pub template: String,
    /// As it is for this request.
    pub value: String,
    /// What went into it, where it is a digest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub of: Vec<String>,
}

/// What the origin would be asked, for everybody whose request has the same key.
#[derive(Debug, Serialize)]
pub struct FillShown {
    /// Method and target.
    pub request: String,
    /// Names of the client's headers that go along.
    pub headers: Vec<String>,
    /// Names of those that do not.
    pub withheld: Vec<String>,
}

/// A write that ends an entry.
#[derive(Debug, Serialize)]
pub struct DroppedBy {
    /// The set's name; none where the rule's own path does it.
    pub set: Option<String>,
    /// Its line in the rules file.
    pub line: Option<usize>,
    /// The writes.
    pub on: Vec<String>,
    /// The line of the set.
    pub drop: String,
    /// Under which condition it is this entry.
    pub when: String,
}

/// What a write drops.
#[derive(Debug, Serialize)]
pub struct Drops {
    /// The set's name; none where the write's own path does it.
    pub set: Option<String>,
    /// Its line in the rules file.
    pub line: Option<usize>,
    /// The template.
    pub drop: String,
    /// The patterns that it comes to for this write.
    pub nodes: Vec<String>,
    /// The rules whose answers may fall.
    pub rules: Vec<String>,
}

/// What a write has asked for once what it drops is dropped.
#[derive(Debug, Serialize)]
pub struct Warms {
    /// The set's name.
    pub set: String,
    /// Its line in the rules file.
    pub line: Option<usize>,
    /// The path, as it is written there.
    pub path: String,
    /// What it comes to for this write; none where that is not known, or not before the answer.
    pub asks: Option<String>,
    /// The rule that keeps the answer, if it comes to one that is public and switched on.
    pub rule: Option<String>,
}
