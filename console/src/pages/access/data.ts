/** What the page reads and changes. Everybody who may be given a role is a principal. */
import { useQuery } from "@tanstack/react-query";
import { api, unwrap, type Schemas } from "../../api/client";
import { invitations, people, type Invitation } from "../../api/extensions";
import { keys } from "../../api/queries";
import { useChange } from "../../shell/mutation";
import type { Grant } from "./roles";

export type ServiceAccount = Schemas["ServiceAccount"];
export type ApiKey = Schemas["ApiKey"];
export type Group = Schemas["ScimGroup"];

/** Groups are listed in parts of this size. */
const GROUPS = 500;
const EVERYTHING = { "pagination.limit": 500 };

export const usePeople = () => useQuery({ queryKey: keys.people, queryFn: people.list });

export const useInvitations = () => useQuery({ queryKey: keys.invitations, queryFn: invitations.list });

export const useAccounts = () =>
  useQuery({
    queryKey: keys.serviceAccounts,
    queryFn: ({ signal }) =>
      every<ServiceAccount>(async (page) => {
        const query = { ...EVERYTHING, "pagination.page": page };
        const answer = await unwrap(api.GET("/api/v1/service-accounts", { params: { query }, signal }));
        return [answer.service_accounts, answer.pagination.next_page];
      }),
  });

export const useApiKeys = (account: string) =>
  useQuery({
    queryKey: [...keys.apiKeys, account],
    queryFn: ({ signal }) =>
      every<ApiKey>(async (page) => {
        const query = { ...EVERYTHING, "pagination.page": page, service_account_id: account };
        const answer = await unwrap(api.GET("/api/v1/api-keys", { params: { query }, signal }));
        return [answer.api_keys, answer.pagination.next_page];
      }),
  });

export const useGroups = () =>
  useQuery({
    queryKey: keys.groups,
    queryFn: async ({ signal }) => {
      const query = { count: GROUPS, sortBy: "displayName" };
      const answer = await unwrap(api.GET("/api/scim/v2/Groups", { params: { query }, signal }));
      return answer.Resources;
    },
  });

export const useAccount = (id: string) =>
  useQuery({
    queryKey: [...keys.serviceAccounts, id],
    queryFn: ({ signal }) => unwrap(api.GET("/api/v1/service-accounts/{id}", { params: { path: { id } }, signal })),
  });

/** What one principal holds, itself and through groups. */
export const useRolesOf = (id: string, enabled = true) =>
  useQuery({
    queryKey: [...keys.roles, id],
    queryFn: ({ signal }) => unwrap(api.GET("/api/v1/roles/{user_id}", { params: { path: { user_id: id } }, signal })),
    enabled,
  });

/** All pages of a list, one after the other. */
async function every<T>(page: (token: string) => Promise<[T[], string]>): Promise<T[]> {
  const all: T[] = [];
  let token = "";
  do {
    const [items, next] = await page(token);
    all.push(...items);
    token = next;
  } while (token !== "");
  return all;
}

/** One change here often shows in several lists. */
const touches = [
  keys.people,
  keys.invitations,
  keys.serviceAccounts,
  keys.apiKeys,
  keys.groups,
  keys.roles,
  keys.session,
];

interface Ending<Out> {
  done?: string;
  onSuccess?: (answer: Out) => void;
}

/** A change whose dialog shows its refusal by itself. */
function useAccessChange<In, Out>(mutationFn: (wish: In) => Promise<Out>, ending: Ending<Out> = {}) {
  return useChange<Out, In>({ mutationFn, touches, failed: null, ...ending });
}

const granted = (grants: Grant[]) => grants as Schemas["BuiltInRoleRequest"][];

export const useInvite = (ending?: Ending<Invitation>) => useAccessChange(invitations.create, ending);
export const useRevoke = (ending?: Ending<unknown>) => useAccessChange(invitations.revoke, ending);
export const useRemovePerson = (ending?: Ending<unknown>) => useAccessChange(people.remove, ending);

export const useSetRoles = (ending?: Ending<unknown>) =>
  useAccessChange(({ id, grants }: { id: string; grants: Grant[] }) => {
    const params = { path: { user_id: id } };
    return unwrap(api.PUT("/api/v1/roles/{user_id}", { params, body: { roles: granted(grants) } }));
  }, ending);

export const useCreateAccount = (ending?: Ending<ServiceAccount>) =>
  useAccessChange(
    ({ roles, ...body }: { name: string; description: string; roles: Grant[] }) =>
      unwrap(api.POST("/api/v1/service-accounts", { body: { ...body, roles: granted(roles) } })),
    ending,
  );

export const useUpdateAccount = (ending?: Ending<ServiceAccount>) =>
  useAccessChange(
    ({ id, ...body }: { id: string; name: string; description: string }) =>
      unwrap(api.PATCH("/api/v1/service-accounts/{id}", { params: { path: { id } }, body })),
    ending,
  );

export const useDeleteAccount = (ending?: Ending<unknown>) =>
  useAccessChange(
    (id: string) => unwrap(api.DELETE("/api/v1/service-accounts/{id}", { params: { path: { id } } })),
    ending,
  );

export const useCreateKey = (ending?: Ending<Schemas["CreateApiKeyResponse"]>) =>
  useAccessChange(
    (body: { name: string; service_account_id: string; expiration_time?: string }) =>
      unwrap(api.POST("/api/v1/api-keys", { body })),
    ending,
  );

export const useDeleteKey = (ending?: Ending<unknown>) =>
  useAccessChange((id: string) => unwrap(api.DELETE("/api/v1/api-keys/{id}", { params: { path: { id } } })), ending);
