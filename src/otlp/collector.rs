//! The collector: which traces it is told of, and how spans are said to it.

use super::post::Post;
use crate::trace::{Export, Facts, Finished, Trace, Work};
use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{Context, InstrumentationScope, KeyValue};
use opentelemetry_otlp::{
    ExporterBuildError, Protocol, SpanExporter, WithExportConfig, WithHttpConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchSpanProcessor, Config, SamplingDecision, ShouldSample, SpanData, SpanEvents, SpanLinks,
    SpanProcessor,
};
use std::borrow::Cow;
use std::time::Duration;

/// What it is called where `OTEL_SERVICE_NAME` is not set.
const SERVICE: &str = "sidecache";

/// Takes spans in batches from a queue of bounded length, on a thread of its own.
pub(super) struct Collector {
    batches: BatchSpanProcessor,
    sampler: Box<dyn ShouldSample>,
    scope: InstrumentationScope,
}

impl Collector {
    /// As the variables of the OpenTelemetry specification have it.
    pub(super) fn of_environment() -> Result<Collector, ExporterBuildError> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_http_client(Post::new())
            .build()?;
        let mut batches = BatchSpanProcessor::builder(exporter).build();
        batches.set_resource(&resource());
        Ok(Collector {
            batches,
            sampler: Config::default().sampler, // reads OTEL_TRACES_SAMPLER
            scope: InstrumentationScope::builder(SERVICE)
                .with_version(env!("CARGO_PKG_VERSION"))
                .build(),
        })
    }

    fn data(&self, span: &Finished) -> SpanData {
        let (trace, facts) = (&span.trace, &span.facts);
        SpanData {
            span_context: context(trace, false),
            parent_span_id: span.parent.map_or(SpanId::INVALID, SpanId::from_bytes),
            parent_span_is_remote: span.work == Work::Request && span.parent.is_some(),
            span_kind: kind(span.work),
            name: name(span),
            start_time: span.begun,
            end_time: span.begun + span.took,
            attributes: attributes(facts),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: match facts.is_failure {
                true => Status::error(facts.detail.unwrap_or_default()),
                false => Status::Unset,
            },
            instrumentation_scope: self.scope.clone(),
        }
    }
}

impl Export for Collector {
    fn samples(&self, trace: &Trace) -> bool {
        let parent = (!trace.is_begun())
            .then(|| Context::new().with_remote_span_context(context(trace, true)));
        let id = TraceId::from_bytes(trace.id());
        let sampled =
            self.sampler
                .should_sample(parent.as_ref(), id, "", &SpanKind::Server, &[], &[]);
        sampled.decision == SamplingDecision::RecordAndSample
    }

    fn export(&self, span: &Finished) {
        self.batches.on_end(self.data(span));
    }

    fn flush(&self, patience: Duration) {
        let _ = self.batches.shutdown_with_timeout(patience); // what is late is lost
    }
}

/// The process, by `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`.
fn resource() -> Resource {
    let named = Resource::builder().build();
    let name = opentelemetry::Key::from_static_str("service.name");
    let is_named = named
        .get(&name)
        .is_some_and(|name| !name.as_str().starts_with("unknown_service"));
    match is_named {
        true => named,
        false => Resource::builder().with_service_name(SERVICE).build(),
    }
}

fn context(trace: &Trace, is_remote: bool) -> SpanContext {
    let flags = match trace.is_sampled() {
        true => TraceFlags::SAMPLED,
        false => TraceFlags::NOT_SAMPLED,
    };
    SpanContext::new(
        TraceId::from_bytes(trace.id()),
        SpanId::from_bytes(trace.span()),
        flags,
        is_remote,
        TraceState::NONE,
    )
}

fn kind(work: Work) -> SpanKind {
    match work {
        Work::Request => SpanKind::Server,
        Work::Origin => SpanKind::Client,
        Work::Look | Work::Fill | Work::Write | Work::Bump | Work::Warm => SpanKind::Internal,
    }
}

/// What requests are grouped by: method and route, as the conventions have it. All else is named by what it is.
fn name(span: &Finished) -> Cow<'static, str> {
    let Facts { method, route, .. } = &span.facts;
    let named = match span.work {
        Work::Request | Work::Origin => method.map(|method| match method {
            "_OTHER" => "HTTP", // as they have it too
            method => method,
        }),
        _ => None,
    };
    match (named, route) {
        (Some(method), Some(route)) => format!("{method} {route}").into(),
        (Some(method), None) => method.into(),
        (None, _) => span.work.word().into(),
    }
}

fn attributes(facts: &Facts) -> Vec<KeyValue> {
    let text = |name: &'static str, value: Option<&str>| {
        value.map(|value| KeyValue::new(name, value.to_owned()))
    };
    let number =
        |name: &'static str, value: Option<i64>| value.map(|value| KeyValue::new(name, value));
    let error = match (facts.is_failure, facts.detail, facts.status) {
        (true, Some(detail), _) => Some(detail.to_owned()),
        (true, None, Some(status)) => Some(status.to_string()),
        _ => None,
    };
    [
        text("http.request.method", facts.method),
        number("http.response.status_code", facts.status.map(i64::from)),
        text("http.route", facts.route.as_deref()),
        text("error.type", error.as_deref()),
        text("sidecache.rule", facts.rule.as_deref()),
        text("sidecache.outcome", facts.outcome),
        text("sidecache.detail", facts.detail),
        number("sidecache.dropped", facts.dropped.map(|count| count as i64)),
    ]
    .into_iter()
    .flatten()
    .collect()
}
