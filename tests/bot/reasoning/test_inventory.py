from bot.domain.scope import Edge
from bot.reasoning.inventory import edges_in, families_in, service_in

SERVICES = ("checkout", "orders", "orders-db", "payments")


def test_a_part_belongs_to_the_longest_service_its_name_holds() -> None:
    assert service_in("data-orders-db-0", SERVICES) == "orders-db"
    assert service_in("orders-6f7c9d5b8-x2x4q", SERVICES) == "orders"
    assert service_in("ORDERS_DB.prod.svc:5432", SERVICES) == "orders-db"


def test_a_name_inside_a_longer_word_is_not_a_service() -> None:
    assert service_in("reorders-1", SERVICES) is None


def test_edges_come_from_every_pair_of_labels_that_names_two_ends() -> None:
    sets = [
        {"__name__": "traces_service_graph_request_total", "client": "checkout", "server": "payments"},
        {"__name__": "istio_requests_total", "source_workload": "checkout", "destination_workload": "orders"},
        {"__name__": "istio_requests_total", "source_workload": "unknown", "destination_workload": "orders"},
        {"__name__": "loop_total", "client": "orders", "server": "orders"},
    ]

    assert edges_in(sets) == (Edge(caller="checkout", callee="orders"), Edge(caller="checkout", callee="payments"))


def test_the_parts_of_a_histogram_are_one_family() -> None:
    sets = [
        {"__name__": f"http_request_duration_seconds{part}", "service": "checkout", **extra}
        for part, extra in (("_bucket", {"le": "0.1"}), ("_bucket", {"le": "+Inf"}), ("_sum", {}), ("_count", {}))
    ]

    (family,) = families_in(sets, {"http_request_duration_seconds": "histogram"}, ("service",), SERVICES)

    assert (family.name, family.kind, family.label) == ("http_request_duration_seconds", "histogram", "service")


def test_a_count_that_is_no_histogram_keeps_its_name() -> None:
    sets = [{"__name__": "orders_count", "service": "orders"}]

    (family,) = families_in(sets, {}, ("service",), SERVICES)

    assert (family.name, family.kind) == ("orders_count", "counter")


def test_a_metric_that_names_only_pods_is_read_by_pod() -> None:
    sets = [
        {"__name__": "kube_pod_container_status_restarts_total", "pod": "payments-7d9c4b6f5-abcde", "namespace": "shop"}
    ]

    (family,) = families_in(sets, {}, ("service",), SERVICES)

    assert family.label == "pod"
    assert family.values == {"payments-7d9c4b6f5-abcde": "payments"}


def test_a_metric_of_other_services_is_left_alone() -> None:
    sets = [{"__name__": "up", "service": "billing"}, {"__name__": "node_load1"}]

    assert families_in(sets, {}, ("service",), SERVICES) == ()
