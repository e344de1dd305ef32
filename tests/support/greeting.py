"""A workflow that waits for a signal: alive across a restart of its server."""

from temporalio import workflow

QUEUE = "greetings"


@workflow.defn
class Greeting:
    def __init__(self) -> None:
        self._name = ""

    @workflow.run
    async def run(self, word: str) -> str:
        await workflow.wait_condition(lambda: bool(self._name))
        return f"{word}, {self._name}"

    @workflow.signal
    def meet(self, name: str) -> None:
        self._name = name
