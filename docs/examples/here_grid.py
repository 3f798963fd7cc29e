"""Let Flower clients of this very process answer, one after the other, without any network."""

from itertools import count

from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid
from flwr.supercore.task_identity import TaskIdentity


class HereGrid(Grid):
    """Stand for a SuperLink with some nodes, all of one configuration.

    Args:
        app: The clients' app.
        nodes: How many there are.
        config: What `--node-config` would give each.
    """

    run = None

    def __init__(self, app: ClientApp, nodes: int, config: dict[str, str]) -> None:
        # as a SuperLink does for its programs
        TaskIdentity.run_id = TaskIdentity.node_id = TaskIdentity.task_id = 1
        self._app = app
        self._contexts = {n: Context(1, n, config, RecordDict(), {}) for n in range(1, nodes + 1)}
        self._replies: dict[str, Message] = {}
        self._numbers = map(str, count())

    def set_run(self, run):
        """Take the run of a SuperLink: there is none."""

    def create_message(self, *args, **kwargs):
        """Make a message."""
        return Message(*args, **kwargs)

    def get_node_ids(self):
        """Return the numbers of the nodes."""
        return list(self._contexts)

    def push_messages(self, messages):
        """Have every message answered at once."""
        numbers = []
        for message in messages:
            node = message.metadata.dst_node_id
            numbers.append(next(self._numbers))
            self._replies[numbers[-1]] = self._app(message, self._contexts[node])
        return numbers

    def pull_messages(self, message_ids):
        """Return the answers."""
        return [self._replies.pop(number) for number in message_ids]

    def send_and_receive(self, messages, *, timeout=None):
        """Do both."""
        return self.pull_messages(self.push_messages(messages))
