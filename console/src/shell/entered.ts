import { useNavigate } from "@tanstack/react-router";
import type { Whoami } from "../api/extensions";
import { keys, queryClient } from "../api/queries";

/** A path of this console, whatever the address bar says. */
export function safePlace(to: string | undefined): string {
  return to && /^\/(?![/\\])/.test(to) && !to.startsWith("/sign-in") ? to : "/clusters";
}

/** What to do once somebody came in: go where they wanted to. */
export function useEntered(to?: string) {
  const navigate = useNavigate();
  return (whoami: Whoami) => {
    queryClient.removeQueries({ predicate: (query) => query.queryKey[0] !== keys.session[0] });
    queryClient.setQueryData(keys.session, whoami);
    void navigate({ href: safePlace(to), replace: true });
  };
}
