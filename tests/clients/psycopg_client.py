"""psycopg (libpq) against the gateway. Reads where to connect from its first argument, JSON."""

import json
import sys
import threading
import time

import psycopg

at = json.loads(sys.argv[1])
base = {
    "hostaddr": "127.0.0.1",
    "port": at["port"],
    "user": at["user"],
    "password": at["password"],
    "sslrootcert": at["ca"],
    "sslmode": "verify-full",
    "connect_timeout": 20,
}
by_name = {**base, "host": f"{at['routing_id']}.{at['domain']}", "dbname": "defaultdb"}
by_option = {**base, "host": f"any.{at['domain']}", "dbname": "defaultdb",
             "options": f"--cluster={at['routing_id']}"}
by_database = {**base, "host": f"any.{at['domain']}", "dbname": f"{at['routing_id']}.defaultdb"}


def connect(how=by_name, **more):
    return psycopg.connect(**{**how, **more})


def one(connection, sql, *arguments):
    return connection.execute(sql, *arguments).fetchone()[0]


def refused(text, how=by_name, **more):
    try:
        connect(how, **more)
    except psycopg.OperationalError as error:
        assert text in str(error), error
    else:
        raise AssertionError(f"let in, expected: {text}")


def routing():
    for how in (by_name, by_option, by_database):
        with connect(how) as connection:
            assert one(connection, "SELECT current_database()") == "defaultdb"
    refused("not found", by_option, options="--cluster=nothing-such-1")
    refused("multiple different", by_database, options="--cluster=nothing-such-1")


def tls_modes():
    for mode in ("require", "verify-ca", "verify-full"):
        connect(sslmode=mode).close()
    refused("requires TLS", by_option, sslmode="disable")
    if psycopg.pq.version() >= 170000:
        with connect(sslnegotiation="direct") as connection:
            assert one(connection, "SELECT 1") == 1


def authentication():
    for binding in ("require", "prefer", "disable"):
        connect(channel_binding=binding).close()
    refused("password authentication failed", password="not the password")
    refused("password authentication failed", user="nobody-such")


def copy():
    rows = 50_000
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE copied (n int, t text)")
        with cursor.copy("COPY copied FROM STDIN") as copy:
            for n in range(rows):
                copy.write_row((n, "x" * 50))
        total = 0
        with cursor.copy("COPY copied TO STDOUT") as copy:
            for _ in copy.rows():
                total += 1
        assert total == rows, total


def large_rows():
    text = "0123456789abcdef" * (1 << 20)
    with connect() as connection:
        assert one(connection, "SELECT %s::text", (text,)) == text


def prepared():
    with connect(prepare_threshold=0) as connection:
        for n in range(100):
            assert one(connection, "SELECT %s::int + 1", (n,)) == n + 1
        with connection.pipeline():
            cursors = [connection.execute("SELECT %s::int", (n,)) for n in range(100)]
        assert [cursor.fetchone()[0] for cursor in cursors] == list(range(100))


def transactions():
    with connect() as connection:
        try:
            with connection.transaction():
                connection.execute("CREATE TABLE rolled_back (n int)")
                connection.execute("SELECT 1/0")
        except psycopg.errors.DivisionByZero:
            pass
        assert one(connection, "SELECT to_regclass('rolled_back')") is None


def listen():
    with connect(autocommit=True) as listener, connect(autocommit=True) as speaker:
        listener.execute("LISTEN news")
        speaker.execute("NOTIFY news, 'hello'")
        notice = next(listener.notifies(timeout=20))
        assert notice.payload == "hello"


def cancel():
    with connect() as connection:
        done = threading.Event()

        def insist():
            while not done.wait(0.05):
                connection.cancel_safe()

        thread = threading.Thread(target=insist)
        begun = time.monotonic()
        thread.start()
        try:
            connection.execute("SELECT pg_sleep(60)")
        except psycopg.errors.QueryCanceled:
            pass
        else:
            raise AssertionError("not canceled")
        finally:
            done.set()
            thread.join()
        assert time.monotonic() - begun < 30
        # A late request may still hit the next statement, so only a fresh session is asked more.
    with connect() as connection:
        assert one(connection, "SELECT 1") == 1


for check in (routing, tls_modes, authentication, copy, large_rows, prepared, transactions, listen, cancel):
    check()
    print(check.__name__)
