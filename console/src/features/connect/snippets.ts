/**
 * Connection snippets for each language, as pure functions.
 *
 * Every snippet reads the password from the environment and the certificate from the default location of libpq, so
 * that neither a password nor a local path ends up in source code.
 */

/** The connection parameters, from the response of `GetConnectionString`. */
export interface Target {
  host: string;
  port: number;
  user: string;
  database: string;
  /** The `options` that identify the cluster, if all clusters share one host name. */
  options: string | null;
}

/** A language tab. */
export interface Snippet {
  id: SnippetId;
  label: string;
  /** The file name that the code is saved as. */
  file: string;
  /** The command that installs the driver, if one is needed. */
  install: string | null;
  code: string;
}

export type SnippetId = "psql" | "go" | "node" | "python" | "java" | "rust";

/** The default location of the CA certificate for libpq, pgx, and the JDBC driver. */
export const CERTIFICATE = ".postgresql/root.crt";

/**
 * Reads the response of `GetConnectionString`. Only its connection string holds the `options`, and the routing ID that
 * precedes a database name with a dot.
 */
export function target(answer: {
  connection_string: string;
  params: { Host: string; Port: string; Database: string; Username?: string | null };
}): Target {
  const [address = "", ...query] = answer.connection_string.split("?");
  const name = answer.params.Database;
  const routingId = (address.split("/")[3] ?? "").split(".")[0] ?? "";
  return {
    host: answer.params.Host,
    port: Number(answer.params.Port),
    user: answer.params.Username ?? "",
    database: name.includes(".") ? `${routingId}.${name}` : name,
    options: new URLSearchParams(query.join("?")).get("options"),
  };
}

/** The connection string. It relies on the default location of the certificate. */
export function connectionString(to: Target, password?: string): string {
  const secret = password === undefined ? "" : `:${percent(password)}`;
  const options = to.options === null ? "" : `&options=${percent(to.options)}`;
  const login = to.user === "" ? "" : `${percent(to.user)}${secret}@`;
  return `postgresql://${login}${host(to.host)}:${to.port}/${percent(to.database)}?sslmode=verify-full${options}`;
}

/** The command that downloads the certificate to the default location. */
export function certificateCommand(origin: string, cluster: string): string {
  return `curl --create-dirs --output ~/${CERTIFICATE} '${origin}/clusters/${percent(cluster)}/cert'`;
}

/** The command that reads the password into the environment, so that it stays out of the shell history. */
export const PASSWORD_COMMAND = "read -rs PGPASSWORD && export PGPASSWORD";

/** The snippets of all languages. */
export function snippets(to: Target): Snippet[] {
  return [psql(to), go(to), node(to), python(to), java(to), rust(to)];
}

function psql(to: Target): Snippet {
  return {
    id: "psql",
    label: "psql",
    file: "shell",
    install: null,
    code: `psql "${connectionString(to)}"`,
  };
}

function go(to: Target): Snippet {
  return {
    id: "go",
    label: "Go",
    file: "main.go",
    install: "go get github.com/jackc/pgx/v5",
    code: `package main

import (
	"context"
	"fmt"
	"log"

	"github.com/jackc/pgx/v5"
)

func main() {
	ctx := context.Background()
	// The password comes from PGPASSWORD, the certificate from ~/${CERTIFICATE}.
	conn, err := pgx.Connect(ctx, ${quoted(connectionString(to))})
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close(ctx)

	var version string
	if err := conn.QueryRow(ctx, "SELECT version()").Scan(&version); err != nil {
		log.Fatal(err)
	}
	fmt.Println(version)
}`,
  };
}

function node(to: Target): Snippet {
  const options = to.options === null ? "" : `\n  options: ${quoted(to.options)},`;
  return {
    id: "node",
    label: "Node",
    file: "connect.mjs",
    install: "npm install pg",
    code: `import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';

const client = new pg.Client({
  host: ${quoted(to.host)},
  port: ${to.port},
  user: ${quoted(to.user)},
  password: process.env.PGPASSWORD,
  database: ${quoted(to.database)},${options}
  ssl: { ca: readFileSync(join(homedir(), '${CERTIFICATE}'), 'utf8') },
});

await client.connect();
const { rows } = await client.query('SELECT version()');
console.log(rows[0].version);
await client.end();`,
  };
}

function python(to: Target): Snippet {
  const options = to.options === null ? "" : `\n    options=${quoted(to.options)},`;
  return {
    id: "python",
    label: "Python",
    file: "connect.py",
    install: 'pip install "psycopg[binary]"',
    code: `import psycopg

# The password comes from PGPASSWORD, the certificate from ~/${CERTIFICATE}.
with psycopg.connect(
    host=${quoted(to.host)},
    port=${to.port},
    user=${quoted(to.user)},
    dbname=${quoted(to.database)},${options}
    sslmode="verify-full",
) as connection:
    print(connection.execute("SELECT version()").fetchone()[0])`,
  };
}

function java(to: Target): Snippet {
  const options = to.options === null ? "" : `\n        properties.setProperty("options", ${quoted(to.options)});`;
  const url = `jdbc:postgresql://${host(to.host)}:${to.port}/${percent(to.database)}`;
  return {
    id: "java",
    label: "Java",
    file: "Connect.java",
    install: "mvn dependency:get -Dartifact=org.postgresql:postgresql:42.7.8",
    code: `import java.sql.DriverManager;
import java.util.Properties;

public class Connect {
    public static void main(String[] arguments) throws Exception {
        // The certificate comes from ~/${CERTIFICATE}.
        var properties = new Properties();
        properties.setProperty("user", ${quoted(to.user)});
        properties.setProperty("password", System.getenv("PGPASSWORD"));
        properties.setProperty("sslmode", "verify-full");${options}

        var url = ${quoted(url)};
        try (var connection = DriverManager.getConnection(url, properties);
             var statement = connection.createStatement();
             var rows = statement.executeQuery("SELECT version()")) {
            rows.next();
            System.out.println(rows.getString(1));
        }
    }
}`,
  };
}

function rust(to: Target): Snippet {
  const options = to.options === null ? "" : `\n        .options(${quoted(to.options)})`;
  return {
    id: "rust",
    label: "Rust",
    file: "src/main.rs",
    install: "cargo add tokio-postgres tokio-postgres-rustls rustls && cargo add tokio --features full",
    code: `use rustls::pki_types::{CertificateDer, pem::PemObject};
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::{Config, config::SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let certificate = std::path::Path::new(&std::env::var("HOME")?).join("${CERTIFICATE}");
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_file_iter(certificate)? {
        roots.add(authority?)?;
    }
    let tls = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();

    let (client, connection) = Config::new()
        .host(${quoted(to.host)})
        .port(${to.port})
        .user(${quoted(to.user)})
        .password(std::env::var("PGPASSWORD")?)
        .dbname(${quoted(to.database)})${options}
        .ssl_mode(SslMode::Require)
        .connect(MakeRustlsConnect::new(tls))
        .await?;
    tokio::spawn(connection);

    let row = client.query_one("SELECT version()", &[]).await?;
    println!("{}", row.get::<_, String>(0));
    Ok(())
}`,
  };
}

/** A string literal in double quotes. For text without control characters, all these languages agree on it. */
function quoted(text: string): string {
  return JSON.stringify(text);
}

/** Percent-encoding that is also safe inside a shell's double or single quotes. */
function percent(text: string): string {
  const code = (char: string) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`;
  return encodeURIComponent(text).replace(/[!'()*]/g, code);
}

function host(name: string): string {
  return name.includes(":") ? `[${name}]` : name;
}
