"""S3 as moto's server speaks it, and the settings under which boto3 finds it."""

from contextlib import contextmanager

from moto.server import ThreadedMotoServer


@contextmanager
def s3_server():
    """Serve while the context lasts; gives the URL."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    try:
        yield "http://{}:{}".format(*server.get_host_and_port())
    finally:
        server.stop()


def use_s3(monkeypatch, url):
    """Have every client of this process ask there."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
