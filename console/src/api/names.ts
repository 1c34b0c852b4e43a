/** The server's rules for names and passwords inside a cluster, and its texts: a mistake shows before it is sent. */

const RESERVED_USERS = ["admin", "node", "none", "ootheca", "postgres", "public", "root"];
const RESERVED_DATABASES = ["postgres", "system", "template0", "template1"];
const SHORTEST_PASSWORD = 12;
const SHAPE = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$/;
const RULE =
  "must be 1 to 63 letters, digits, underscores, dots and dashes, beginning with a letter, digit or underscore";
// Without letters and digits that look alike, so that it can also be read out.
const ALPHABET = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/** What is wrong with the name of a SQL user, or null. */
export function sqlUserProblem(name: string): string | null {
  if (!SHAPE.test(name)) return RULE;
  const lower = name.toLowerCase();
  return lower.startsWith("pg_") || RESERVED_USERS.includes(lower) ? `"${name}" is reserved` : null;
}

/** What is wrong with the name of a database, or null. */
export function databaseProblem(name: string): string | null {
  if (!SHAPE.test(name)) return RULE;
  return RESERVED_DATABASES.includes(name.toLowerCase()) ? `"${name}" is reserved` : null;
}

/** What is wrong with a password, or null. */
export function passwordProblem(password: string): string | null {
  if ([...password].length < SHORTEST_PASSWORD) return `must have at least ${SHORTEST_PASSWORD} characters`;
  const bytes = new TextEncoder().encode(password).length;
  return password.includes("\0") || bytes > 1024 ? "must have at most 1024 bytes, none of them zero" : null;
}

/** A password of 24 letters and digits, 139 bits: safe in a URL, a shell and a configuration file. */
export function generatePassword(): string {
  const chosen: string[] = [];
  const fair = 256 - (256 % ALPHABET.length);
  while (chosen.length < 24) {
    for (const byte of crypto.getRandomValues(new Uint8Array(32))) {
      if (byte < fair && chosen.length < 24) chosen.push(ALPHABET[byte % ALPHABET.length] as string);
    }
  }
  return chosen.join("");
}
