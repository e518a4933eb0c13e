use super::{GIVEN, GIVEN_ID, GIVEN_SPAN, told};
use crate::process::Process;
use crate::redis::eventually;
use crate::world::{self, Asked, Origin, REGISTER_RULES, Reply};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};
use prost::Message;

/// A collector of spans, and a sidecar that sends it what it does.
struct World {
    origin: Origin,
    collector: Origin,
    process: Process,
}

impl World {
    async fn start(more: &[(&str, &str)]) -> World {
        let origin = super::origin().await;
        let collector =
            Origin::start(|_: Asked| async { Reply::of(200, "application/x-protobuf", "") });
        let collector = collector.await;
        let endpoint = format!("http://{}", collector.address);
        let environment = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint),
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=collector-secret-77"),
            ("OTEL_SERVICE_NAME", "clinic-cache"),
            ("OTEL_BSP_SCHEDULE_DELAY", "50"),
            ("SIDECACHE_LOG", "debug"),
        ];
        let rules = world::head(origin.address, "memory:") + REGISTER_RULES;
        let process = Process::start_with(&rules, &[&environment, more].concat());
        World {
            origin,
            collector,
            process,
        }
    }

    async fn ask(&self, method: &str, target: &str, trace: &str) {
        let traced = [("traceparent", trace)];
        world::ask(self.process.proxy(), method, target, &traced, "").await;
    }

    fn sent(&self) -> Vec<ResourceSpans> {
        let batches = self.collector.asked().into_iter();
        batches
            .map(|batch| ExportTraceServiceRequest::decode(batch.body).expect("OTLP"))
            .flat_map(|batch| batch.resource_spans)
            .collect()
    }

    fn spans(&self) -> Vec<Span> {
        let scopes = self.sent().into_iter().flat_map(|sent| sent.scope_spans);
        scopes.flat_map(|scope| scope.spans).collect()
    }

    /// All spans, once there are so many.
    async fn collected(&self, count: usize) -> Vec<Span> {
        eventually("spans are sent", async || self.spans().len() >= count).await;
        self.spans()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn named<'s>(spans: &'s [Span], name: &str) -> &'s Span {
    let mut all = spans.iter();
    let found = all.find(|span| span.name == name);
    found.unwrap_or_else(|| panic!("{name}: {spans:?}"))
}

fn attribute(attributes: &[KeyValue], name: &str) -> Option<Value> {
    let found = attributes.iter().find(|attribute| attribute.key == name);
    found.and_then(|found| found.value.clone()?.value)
}

fn text(value: &str) -> Option<Value> {
    Some(Value::StringValue(value.to_owned()))
}

#[tokio::test]
async fn a_collector_sees_client_sidecar_and_origin_in_one_trace() {
    let world = World::start(&[]).await;
    world.ask("GET", "/api/thing/1", GIVEN).await;
    let spans = world.collected(4).await;
    let request = named(&spans, "GET /api/thing/{id}");
    assert_eq!(request.kind(), SpanKind::Server);
    assert_eq!(hex(&request.parent_span_id), GIVEN_SPAN);
    let is = |name| attribute(&request.attributes, name);
    assert_eq!(is("http.request.method"), text("GET"));
    assert_eq!(is("http.route"), text("/api/thing/{id}"));
    assert_eq!(is("http.response.status_code"), Some(Value::IntValue(200)));
    assert_eq!(is("sidecache.rule"), text("thing"));
    assert_eq!(is("sidecache.outcome"), text("miss"));
    assert_eq!(is("url.path"), None);
    let (look, fill) = (named(&spans, "look"), named(&spans, "fill"));
    assert_eq!(look.parent_span_id, request.span_id);
    assert_eq!(fill.parent_span_id, request.span_id);
    let asking = named(&spans, "GET");
    assert_eq!(asking.kind(), SpanKind::Client);
    assert_eq!(asking.parent_span_id, fill.span_id);
    let [_, span, _] = told(&world.origin.last());
    assert_eq!(hex(&asking.span_id), span);
    for span in &spans {
        assert_eq!(hex(&span.trace_id), GIVEN_ID);
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
    }
}

#[tokio::test]
async fn the_collector_is_told_who_sends_and_gets_the_secret_that_the_log_does_not() {
    let world = World::start(&[]).await;
    world.ask("PATCH", "/api/change/1", GIVEN).await;
    let spans = world.collected(4).await;
    for (name, part_of) in [("write", "PATCH"), ("bump", "write")] {
        let whole = named(&spans, part_of);
        let whole = match whole.kind() {
            SpanKind::Client => spans.iter().find(|span| span.kind() == SpanKind::Server),
            _ => Some(whole),
        };
        let whole = whole.expect("a request");
        assert_eq!(named(&spans, name).parent_span_id, whole.span_id, "{name}");
    }
    let batch = world.collector.last();
    assert_eq!(
        (batch.method.as_str(), &*batch.target),
        ("POST", "/v1/traces")
    );
    assert_eq!(batch.header("api-key"), Some("collector-secret-77"));
    let resource = world.sent().remove(0).resource.expect("a resource");
    let service = attribute(&resource.attributes, "service.name");
    assert_eq!(service, text("clinic-cache"));
    let logged = world.process.logged();
    assert!(!logged.contains("collector-secret-77"), "{logged}");
}

#[tokio::test]
async fn who_traces_decides_what_is_recorded_and_else_the_sampler() {
    let sampler = [("OTEL_TRACES_SAMPLER", "parentbased_always_off")];
    let world = World::start(&sampler).await;
    let unsampled = GIVEN.replace("-01", "-00");
    world.ask("GET", "/other", &unsampled).await;
    let [id, span, flags] = told(&world.origin.last());
    assert_eq!([&*id, &*span, &*flags], [GIVEN_ID, GIVEN_SPAN, "00"]);
    world.process.get("/other").await;
    let [_, _, flags] = told(&world.origin.last());
    assert_eq!(
        flags, "00",
        "what is begun here is not recorded there either"
    );
    world.ask("GET", "/other", GIVEN).await;
    let spans = world.collected(2).await;
    assert_eq!(spans.len(), 2, "a request and its asking: {spans:?}");
    assert!(spans.iter().all(|span| hex(&span.trace_id) == GIVEN_ID));
}

#[tokio::test]
async fn what_is_not_sent_yet_is_sent_at_the_end() {
    let mut world = World::start(&[("OTEL_BSP_SCHEDULE_DELAY", "600000")]).await;
    world.ask("GET", "/other", GIVEN).await;
    world.process.signal("-TERM");
    assert_eq!(world.process.ended().await.code(), Some(0));
    assert_eq!(world.spans().len(), 2);
}

#[tokio::test]
async fn a_collector_that_is_not_there_is_said_once_and_harms_nobody() {
    let gone = super::origin().await.address;
    let endpoint = format!("http://{gone}");
    let mut world = World::start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint)]).await;
    world.ask("GET", "/other", GIVEN).await;
    world
        .process
        .logs("spans do not reach their collector")
        .await;
    world.ask("GET", "/other", GIVEN).await;
    assert_eq!(world.origin.count(), 2);
    world.process.signal("-TERM");
    assert_eq!(world.process.ended().await.code(), Some(0));
    let said = world.process.logged();
    assert_eq!(said.matches("do not reach").count(), 1, "{said}");
}
