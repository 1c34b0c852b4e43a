/** The props of a field with a rule: the rule as its description, or as its error once the input breaks it. */
export function withRule(rule: string, error: string | null) {
  return error === rule ? { error } : { description: rule, error };
}
