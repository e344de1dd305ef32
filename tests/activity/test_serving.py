from types import SimpleNamespace

from activities.serving import decoding_load


def test_each_operator_is_charged_for_the_batches_it_decodes_first():
    sizes = {"N": (10, 20, 30, 40, 50), "S": (), "M": (7,), "O": (1, 2)}
    layout = SimpleNamespace(
        stage=lambda name: [
            SimpleNamespace(index=index, opened_bytes=size)
            for index, size in enumerate(sizes[name])
        ]
    )
    load = decoding_load(layout, 4)
    assert load == {1: 3 * (10 + 50 + 7 + 1), 2: 3 * (20 + 2), 3: 3 * 30, 4: 3 * 40}
