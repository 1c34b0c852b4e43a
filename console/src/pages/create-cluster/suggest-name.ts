const ADJECTIVES =
  "amber,brave,bright,calm,clever,cosmic,crisp,eager,fancy,gentle,golden,happy,honest,jolly,keen,lively,lucky,mellow,merry,misty,noble,polite,proud,quick,quiet,rapid,silent,silver,snowy,steady,sunny,swift,tidy,vivid,warm,witty,young,zesty".split(
    ",",
  );
const ANIMALS =
  "badger,beetle,bison,cicada,condor,cricket,dolphin,earwig,falcon,firefly,gecko,heron,hornet,ibis,jackal,koala,ladybird,lemur,locust,lynx,mantis,marten,moth,otter,panda,puffin,quail,raven,robin,salmon,seal,sparrow,stag,swan,termite,toucan,walrus,weevil,whale,wren".split(
    ",",
  );

const pick = (words: string[]) => words[Math.floor(Math.random() * words.length)] as string;

/** Suggests a name such as `calm-otter` that no known cluster has. */
export function suggestName(taken: Set<string>): string {
  for (let tries = 0; tries < 50; tries += 1) {
    const name = `${pick(ADJECTIVES)}-${pick(ANIMALS)}`;
    if (!taken.has(name)) return name;
  }
  return `${pick(ADJECTIVES)}-${pick(ANIMALS)}-${Math.floor(Math.random() * 10_000)}`;
}
