// Letters and digits that look alike are left out, so that a password can be read aloud.
const ALPHABET = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
const LENGTH = 24;

/** A password of 24 letters and digits (139 bits), safe in a URL, a shell, and a configuration file. */
export function generatePassword(): string {
  const chosen: string[] = [];
  // Bytes beyond the last multiple of the alphabet's length are dropped, so that every character is equally likely.
  const limit = 256 - (256 % ALPHABET.length);
  while (chosen.length < LENGTH) {
    for (const byte of crypto.getRandomValues(new Uint8Array(32))) {
      if (byte < limit && chosen.length < LENGTH) chosen.push(ALPHABET[byte % ALPHABET.length] as string);
    }
  }
  return chosen.join("");
}
