/** Queries and mutations of users, service accounts, API keys, groups, and roles. */
import { useQuery } from "@tanstack/react-query";
import { api, fetchAllPages, PAGE_SIZE, pageQuery, unwrap, type Schemas } from "../../api/client";
import { invitations, people, type Invitation } from "../../api/extensions";
import { keys } from "../../api/queries";
import { useNotifiedMutation } from "../../components/useNotifiedMutation";
import type { Grant } from "./roles";

export type ServiceAccount = Schemas["ServiceAccount"];
export type ApiKey = Schemas["ApiKey"];
export type Group = Schemas["ScimGroup"];

export const usePeople = () => useQuery({ queryKey: keys.people, queryFn: people.list });

export const useInvitations = () => useQuery({ queryKey: keys.invitations, queryFn: invitations.list });

export const useAccounts = () =>
  useQuery({
    queryKey: keys.serviceAccounts,
    queryFn: ({ signal }) =>
      fetchAllPages<ServiceAccount>(async (page) => {
        const query = pageQuery(page);
        const answer = await unwrap(api.GET("/api/v1/service-accounts", { params: { query }, signal }));
        return { items: answer.service_accounts, next: answer.pagination.next_page };
      }),
  });

export const useApiKeys = (account: string) =>
  useQuery({
    queryKey: [...keys.apiKeys, account],
    queryFn: ({ signal }) =>
      fetchAllPages<ApiKey>(async (page) => {
        const query = { ...pageQuery(page), service_account_id: account };
        const answer = await unwrap(api.GET("/api/v1/api-keys", { params: { query }, signal }));
        return { items: answer.api_keys, next: answer.pagination.next_page };
      }),
  });

export const useGroups = () =>
  useQuery({
    queryKey: keys.groups,
    queryFn: async ({ signal }) => {
      const query = { count: PAGE_SIZE, sortBy: "displayName" };
      const answer = await unwrap(api.GET("/api/scim/v2/Groups", { params: { query }, signal }));
      return answer.Resources;
    },
  });

export const useAccount = (id: string) =>
  useQuery({
    queryKey: [...keys.serviceAccounts, id],
    queryFn: ({ signal }) => unwrap(api.GET("/api/v1/service-accounts/{id}", { params: { path: { id } }, signal })),
  });

/** The roles of a user, service account, or group: its own, and those inherited from groups. */
export const useRolesOf = (id: string) =>
  useQuery({
    queryKey: [...keys.roles, id],
    queryFn: ({ signal }) => unwrap(api.GET("/api/v1/roles/{user_id}", { params: { path: { user_id: id } }, signal })),
  });

/** A change often affects several lists. */
const invalidates = [
  keys.people,
  keys.invitations,
  keys.serviceAccounts,
  keys.apiKeys,
  keys.groups,
  keys.roles,
  keys.session,
];

interface Options<Out> {
  successMessage?: string | ((answer: Out) => string);
  onSuccess?: (answer: Out) => void;
}

/** A mutation whose dialog shows the error. */
function useAccessMutation<In, Out>(mutationFn: (input: In) => Promise<Out>, options: Options<Out> = {}) {
  return useNotifiedMutation<Out, In>({ mutationFn, invalidates, errorTitle: null, ...options });
}

const toRequest = (grants: Grant[]) => grants as Schemas["BuiltInRoleRequest"][];

export const useInvite = (options?: Options<Invitation>) => useAccessMutation(invitations.create, options);
export const useRevoke = (options?: Options<unknown>) => useAccessMutation(invitations.revoke, options);
export const useRemovePerson = (options?: Options<unknown>) => useAccessMutation(people.remove, options);

export const useSetRoles = (options?: Options<unknown>) =>
  useAccessMutation(({ id, grants }: { id: string; grants: Grant[] }) => {
    const params = { path: { user_id: id } };
    return unwrap(api.PUT("/api/v1/roles/{user_id}", { params, body: { roles: toRequest(grants) } }));
  }, options);

export const useCreateAccount = (options?: Options<ServiceAccount>) =>
  useAccessMutation(
    ({ roles, ...body }: { name: string; description: string; roles: Grant[] }) =>
      unwrap(api.POST("/api/v1/service-accounts", { body: { ...body, roles: toRequest(roles) } })),
    options,
  );

export const useUpdateAccount = (options?: Options<ServiceAccount>) =>
  useAccessMutation(
    ({ id, ...body }: { id: string; name: string; description: string }) =>
      unwrap(api.PATCH("/api/v1/service-accounts/{id}", { params: { path: { id } }, body })),
    options,
  );

export const useDeleteAccount = (options?: Options<unknown>) =>
  useAccessMutation(
    (id: string) => unwrap(api.DELETE("/api/v1/service-accounts/{id}", { params: { path: { id } } })),
    options,
  );

export const useCreateKey = (options?: Options<Schemas["CreateApiKeyResponse"]>) =>
  useAccessMutation(
    (body: { name: string; service_account_id: string; expiration_time?: string }) =>
      unwrap(api.POST("/api/v1/api-keys", { body })),
    options,
  );

export const useDeleteKey = (options?: Options<unknown>) =>
  useAccessMutation((id: string) => unwrap(api.DELETE("/api/v1/api-keys/{id}", { params: { path: { id } } })), options);
