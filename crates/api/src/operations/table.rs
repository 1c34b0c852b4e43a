//! The rows: implemented operations first, then those that respond with 501, both ordered by tag.
//!
//! An implemented row: `{ Name, handler, "tag", Method "path", (Path, Query, Body) -> Reply, [access], kind,
//! "summary" }`. Any other row: `{ Name, later, "tag", Method "path", [access], kind, "summary" }`, with
//! `later body` if it takes a body. The kind is `read`, `change AUDIT_ACTION` or `stream`. Access is one of
//! - `[cluster parameter: roles]`: on the cluster in this path parameter
//! - `[folder parameter: roles]`: on the folder in this path parameter
//! - `[folders: roles]`: on the organization or on a folder that the handler determines
//! - `[organization: roles]`: on the organization
//! - `[visible: roles]`: a list that shows each caller what its roles give access to
//! - `[member]`: every member of the organization
//! - `[session]`: every member who is signed in
//! - `[public]`: no authentication
//! - `[grantor]`: callers that can grant a role; the handler checks each grant

/// Passes all rows to the macro `$callback`, as `built { rows } later { rows }`. The module
/// [operations](crate::operations) shows how to match them.
#[macro_export]
macro_rules! for_each_operation {
    ($callback:ident) => {
        $callback! {
            built {
                { ListClusters, list_clusters, "Clusters", Get "/api/v1/clusters",
                  (NoPath, ListClustersQuery, NoBody) -> ListClustersResponse,
                  [visible: OrgAdmin, ClusterAdmin, ClusterOperatorWriter, ClusterDeveloper, FolderAdmin, FolderMover, MetricsViewer, ClusterMonitor, Auditor, ClusterDataAccessor],
                  read, "List clusters" }
                { CreateCluster, create_cluster, "Clusters", Post "/api/v1/clusters",
                  (NoPath, NoQuery, CreateClusterRequest) -> Cluster,
                  [folders: ClusterAdmin, ClusterCreator], change CREATE_CLUSTER, "Create a cluster" }
                { ListAvailableRegions, list_available_regions, "Clusters", Get "/api/v1/clusters/available-regions",
                  (NoPath, ListAvailableRegionsQuery, NoBody) -> ListAvailableRegionsResponse,
                  [member], read, "List the available regions" }
                { GetCluster, get_cluster, "Clusters", Get "/api/v1/clusters/{cluster_id}",
                  (ClusterPath, NoQuery, NoBody) -> Cluster,
                  [cluster cluster_id: OrgAdmin, ClusterAdmin, ClusterOperatorWriter, ClusterDeveloper, FolderAdmin, FolderMover, MetricsViewer, ClusterMonitor, Auditor, ClusterDataAccessor],
                  read, "Get a cluster" }
                { UpdateCluster, update_cluster, "Clusters", Patch "/api/v1/clusters/{cluster_id}",
                  (ClusterPath, NoQuery, UpdateClusterRequest) -> Cluster,
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter], change UPDATE_CLUSTER, "Update a cluster" }
                { DeleteCluster, delete_cluster, "Clusters", Delete "/api/v1/clusters/{cluster_id}",
                  (ClusterPath, NoQuery, NoBody) -> Cluster,
                  [cluster cluster_id: ClusterAdmin], change DELETE_CLUSTER, "Delete a cluster and all its data" }
                { GetConnectionString, get_connection_string, "Clusters", Get "/api/v1/clusters/{cluster_id}/connection-string",
                  (ClusterPath, ConnectionStringQuery, NoBody) -> GetConnectionStringResponse,
                  [cluster cluster_id: OrgAdmin, ClusterAdmin, ClusterOperatorWriter, ClusterDeveloper, FolderAdmin, FolderMover, MetricsViewer, ClusterMonitor, Auditor, ClusterDataAccessor],
                  read, "Get a connection string for SQL clients" }
                { ListClusterNodes, list_cluster_nodes, "Clusters", Get "/api/v1/clusters/{cluster_id}/nodes",
                  (ClusterPath, ListClusterNodesQuery, NoBody) -> ListClusterNodesResponse,
                  [cluster cluster_id: OrgAdmin, ClusterAdmin, ClusterOperatorWriter, ClusterDeveloper, Auditor, ClusterDataAccessor],
                  read, "List the nodes of a cluster" }
                { ListMajorClusterVersions, list_major_cluster_versions, "Clusters", Get "/api/v1/cluster-versions",
                  (NoPath, PageQuery, NoBody) -> ListMajorClusterVersionsResponse,
                  [member], read, "List major versions, newest first" }

                { ListSQLUsers, list_sql_users, "SQL Users", Get "/api/v1/clusters/{cluster_id}/sql-users",
                  (ClusterPath, PageQuery, NoBody) -> ListSQLUsersResponse,
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter, ClusterDeveloper], read, "List SQL users" }
                { CreateSQLUser, create_sql_user, "SQL Users", Post "/api/v1/clusters/{cluster_id}/sql-users",
                  (ClusterPath, NoQuery, CreateSQLUserRequest) -> SQLUser,
                  [cluster cluster_id: ClusterAdmin], change CREATE_SQL_USER, "Create a SQL user" }
                { DeleteSQLUser, delete_sql_user, "SQL Users", Delete "/api/v1/clusters/{cluster_id}/sql-users/{name}",
                  (SQLUserPath, NoQuery, NoBody) -> SQLUser,
                  [cluster cluster_id: ClusterAdmin], change DELETE_SQL_USER, "Delete a SQL user" }
                { UpdateSQLUserPassword, update_sql_user_password, "SQL Users", Put "/api/v1/clusters/{cluster_id}/sql-users/{name}/password",
                  (SQLUserPath, NoQuery, UpdateSQLUserPasswordRequest) -> SQLUser,
                  [cluster cluster_id: ClusterAdmin], change CHANGE_SQL_USER_PASSWORD, "Change the password of a SQL user" }

                { ListDatabases, list_databases, "Databases", Get "/api/v1/clusters/{cluster_id}/databases",
                  (ClusterPath, PageQuery, NoBody) -> ListDatabasesResponse,
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter, ClusterDeveloper, ClusterDataAccessor], read, "List databases" }
                { CreateDatabase, create_database, "Databases", Post "/api/v1/clusters/{cluster_id}/databases",
                  (ClusterPath, NoQuery, CreateDatabaseRequest) -> Database,
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter, ClusterDataAccessor], change UPDATE_CLUSTER, "Create a database" }
                { EditDatabase2, edit_database2, "Databases", Patch "/api/v1/clusters/{cluster_id}/databases",
                  (ClusterPath, NoQuery, UpdateDatabaseRequest) -> Database,
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter, ClusterDataAccessor], change UPDATE_CLUSTER, "Rename a database that is named in the body" }
                { EditDatabase, edit_database, "Databases", Patch "/api/v1/clusters/{cluster_id}/databases/{name}",
                  (DatabasePath, NoQuery, UpdateDatabaseRequest) -> Database,
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter, ClusterDataAccessor], change UPDATE_CLUSTER, "Rename a database" }
                { DeleteDatabase, delete_database, "Databases", Delete "/api/v1/clusters/{cluster_id}/databases/{name}",
                  (DatabasePath, NoQuery, NoBody) -> Database,
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter, ClusterDataAccessor], change UPDATE_CLUSTER, "Delete a database and all its data" }

                { ListAllowlistEntries, list_allowlist_entries, "IP Allowlists", Get "/api/v1/clusters/{cluster_id}/networking/allowlist",
                  (ClusterPath, PageQuery, NoBody) -> ListAllowlistEntriesResponse,
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter, ClusterDeveloper, Auditor], read, "List allowlist entries" }
                { AddAllowlistEntry, add_allowlist_entry, "IP Allowlists", Post "/api/v1/clusters/{cluster_id}/networking/allowlist",
                  (ClusterPath, NoQuery, AllowlistEntryRequest) -> AllowlistEntry,
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter], change ADD_IP_ALLOWLIST, "Create an allowlist entry" }
                { AddAllowlistEntry2, add_allowlist_entry2, "IP Allowlists", Put "/api/v1/clusters/{cluster_id}/networking/allowlist/{cidr_ip}/{cidr_mask}",
                  (AllowlistEntryPath, NoQuery, AllowlistEntryRequest) -> AllowlistEntry,
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter], change ADD_IP_ALLOWLIST, "Create or replace an allowlist entry" }
                { UpdateAllowlistEntry, update_allowlist_entry, "IP Allowlists", Patch "/api/v1/clusters/{cluster_id}/networking/allowlist/{cidr_ip}/{cidr_mask}",
                  (AllowlistEntryPath, NoQuery, AllowlistEntryRequest) -> AllowlistEntry,
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter], change EDIT_IP_ALLOWLIST, "Update an allowlist entry" }
                { DeleteAllowlistEntry, delete_allowlist_entry, "IP Allowlists", Delete "/api/v1/clusters/{cluster_id}/networking/allowlist/{cidr_ip}/{cidr_mask}",
                  (AllowlistEntryPath, NoQuery, NoBody) -> AllowlistEntry,
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter], change DELETE_IP_ALLOWLIST, "Delete an allowlist entry" }

                { GetBackupConfiguration, get_backup_configuration, "Backup/Restore", Get "/api/v1/clusters/{cluster_id}/backups-config",
                  (ClusterPath, NoQuery, NoBody) -> BackupConfiguration,
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter, Auditor], read, "Get the frequency and retention of backups" }
                { UpdateBackupConfiguration, update_backup_configuration, "Backup/Restore", Patch "/api/v1/clusters/{cluster_id}/backups-config",
                  (ClusterPath, NoQuery, UpdateBackupConfigurationSpec) -> BackupConfiguration,
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter], change UPDATE_BACKUP_CONFIGURATION, "Update the frequency and retention of backups" }
                { ListBackups, list_backups, "Backup/Restore", Get "/api/v1/clusters/{cluster_id}/backups",
                  (ClusterPath, ListBackupsQuery, NoBody) -> ListBackupsResponse,
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter, Auditor], read, "List the backups of a cluster, newest first" }
                { ListRestores, list_restores, "Backup/Restore", Get "/api/v1/clusters/{cluster_id}/restores",
                  (ClusterPath, ListRestoresQuery, NoBody) -> ListRestoresResponse,
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter, Auditor], read, "List the restores into a cluster, newest first" }
                { CreateRestore, create_restore, "Backup/Restore", Post "/api/v1/clusters/{destination_cluster_id}/restores",
                  (RestoreDestinationPath, NoQuery, CreateRestoreBody) -> Restore,
                  [cluster destination_cluster_id: ClusterAdmin, ClusterOperatorWriter], change RESTORE_CLUSTER, "Restore a cluster, databases, or tables from a backup" }
                { GetRestore, get_restore, "Backup/Restore", Get "/api/v1/clusters/{cluster_id}/restores/{restore_id}",
                  (RestorePath, NoQuery, NoBody) -> Restore,
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter, Auditor], read, "Get a restore" }

                { GetMaintenanceWindow, get_maintenance_window, "Maintenance Windows", Get "/api/v1/clusters/{cluster_id}/maintenance-window",
                  (ClusterPath, NoQuery, NoBody) -> MaintenanceWindow,
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter, Auditor], read, "Get the recorded maintenance window; patches are not applied yet" }
                { SetMaintenanceWindow, set_maintenance_window, "Maintenance Windows", Put "/api/v1/clusters/{cluster_id}/maintenance-window",
                  (ClusterPath, NoQuery, MaintenanceWindowRequest) -> MaintenanceWindow,
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter], change SET_CLUSTER_MAINTENANCE_WINDOW, "Record the maintenance window; patches are not applied yet" }
                { DeleteMaintenanceWindow, delete_maintenance_window, "Maintenance Windows", Delete "/api/v1/clusters/{cluster_id}/maintenance-window",
                  (ClusterPath, NoQuery, NoBody) -> MaintenanceWindow,
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter], change DELETE_CLUSTER_MAINTENANCE_WINDOW, "Delete the recorded maintenance window; patches are not applied yet" }

                { GetClusterVersionDeferral, get_cluster_version_deferral, "Version Deferral", Get "/api/v1/clusters/{cluster_id}/version-deferral",
                  (ClusterPath, NoQuery, NoBody) -> ClusterVersionDeferral,
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter, Auditor], read, "Get the recorded version deferral; patches are not applied yet" }
                { SetClusterVersionDeferral, set_cluster_version_deferral, "Version Deferral", Put "/api/v1/clusters/{cluster_id}/version-deferral",
                  (ClusterPath, NoQuery, ClusterVersionDeferralUpdate) -> ClusterVersionDeferral,
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter], change UPDATE_CLUSTER_VERSION_UPGRADE_DEFERRAL, "Record the version deferral; patches are not applied yet" }

                { ListBlackoutWindows, list_blackout_windows, "Blackout Windows", Get "/api/v1/clusters/{cluster_id}/blackout-windows",
                  (ClusterPath, PageQuery, NoBody) -> ListBlackoutWindowsResponse,
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter, Auditor], read, "List the recorded blackout windows; nothing is scheduled yet" }
                { CreateBlackoutWindow, create_blackout_window, "Blackout Windows", Post "/api/v1/clusters/{cluster_id}/blackout-windows",
                  (ClusterPath, NoQuery, CreateBlackoutWindowBody) -> BlackoutWindow,
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter], change CREATE_CLUSTER_BLACKOUT_WINDOW, "Record a blackout window; nothing is scheduled yet" }
                { GetBlackoutWindow, get_blackout_window, "Blackout Windows", Get "/api/v1/clusters/{cluster_id}/blackout-windows/{blackout_window_id}",
                  (BlackoutWindowPath, NoQuery, NoBody) -> BlackoutWindow,
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter, Auditor], read, "Get a recorded blackout window; nothing is scheduled yet" }
                { UpdateBlackoutWindow, update_blackout_window, "Blackout Windows", Patch "/api/v1/clusters/{cluster_id}/blackout-windows/{blackout_window_id}",
                  (BlackoutWindowPath, NoQuery, UpdateBlackoutWindowBody) -> BlackoutWindow,
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter], change UPDATE_CLUSTER_BLACKOUT_WINDOW, "Update a recorded blackout window; nothing is scheduled yet" }
                { DeleteBlackoutWindow, delete_blackout_window, "Blackout Windows", Delete "/api/v1/clusters/{cluster_id}/blackout-windows/{blackout_window_id}",
                  (BlackoutWindowPath, NoQuery, NoBody) -> BlackoutWindow,
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter], change DELETE_CLUSTER_BLACKOUT_WINDOW, "Delete a recorded blackout window; nothing is scheduled yet" }

                { ListFolders, list_folders, "Folders", Get "/api/v1/folders",
                  (NoPath, ListFoldersQuery, NoBody) -> ListFoldersResponse,
                  [folders: OrgAdmin, ClusterAdmin, ClusterOperatorWriter, ClusterDeveloper, ClusterCreator, FolderAdmin, FolderMover, MetricsViewer, ClusterMonitor, Auditor, ClusterDataAccessor],
                  read, "List folders" }
                { CreateFolder, create_folder, "Folders", Post "/api/v1/folders",
                  (NoPath, NoQuery, CreateFolderRequest) -> FolderResource,
                  [folders: FolderAdmin], change CREATE_FOLDER, "Create a folder" }
                { GetFolder, get_folder, "Folders", Get "/api/v1/folders/{folder_id}",
                  (FolderPath, NoQuery, NoBody) -> FolderResource,
                  [folder folder_id: OrgAdmin, ClusterAdmin, ClusterOperatorWriter, ClusterDeveloper, ClusterCreator, FolderAdmin, FolderMover, MetricsViewer, ClusterMonitor, Auditor, ClusterDataAccessor],
                  read, "Get a folder" }
                { UpdateFolder, update_folder, "Folders", Patch "/api/v1/folders/{folder_id}",
                  (FolderPath, NoQuery, UpdateFolderSpecification) -> FolderResource,
                  [folder folder_id: FolderAdmin, FolderMover], change UPDATE_FOLDER, "Rename, move, or label a folder" }
                { DeleteFolder, delete_folder, "Folders", Delete "/api/v1/folders/{folder_id}",
                  (FolderPath, NoQuery, NoBody) -> DeleteFolderResponse,
                  [folder folder_id: FolderAdmin], change DELETE_FOLDER, "Delete an empty folder" }
                { ListFolderContents, list_folder_contents, "Folders", Get "/api/v1/folders/{folder_id}/contents",
                  (FolderPath, PageQuery, NoBody) -> FolderResourceList,
                  [visible: OrgAdmin, ClusterAdmin, ClusterOperatorWriter, ClusterDeveloper, FolderAdmin, FolderMover, MetricsViewer, ClusterMonitor, Auditor, ClusterDataAccessor],
                  read, "List the contents of a folder" }

                { GetOrganizationInfo, get_organization_info, "Organizations", Get "/api/v1/organization",
                  (NoPath, NoQuery, NoBody) -> Organization, [member], read, "Get the caller's organization" }

                { ListServiceAccounts, list_service_accounts, "Service Accounts", Get "/api/v1/service-accounts",
                  (NoPath, ListServiceAccountsQuery, NoBody) -> ListServiceAccountsResponse,
                  [organization: OrgAdmin, ClusterAdmin, Auditor], read, "List service accounts" }
                { CreateServiceAccount, create_service_account, "Service Accounts", Post "/api/v1/service-accounts",
                  (NoPath, NoQuery, CreateServiceAccountRequest) -> ServiceAccount,
                  [organization: OrgAdmin, ClusterAdmin], change CREATE_SERVICE_ACCOUNT, "Create a service account" }
                { GetServiceAccount, get_service_account, "Service Accounts", Get "/api/v1/service-accounts/{id}",
                  (IdPath, NoQuery, NoBody) -> ServiceAccount,
                  [organization: OrgAdmin, ClusterAdmin, Auditor], read, "Get a service account" }
                { UpdateServiceAccount, update_service_account, "Service Accounts", Patch "/api/v1/service-accounts/{id}",
                  (IdPath, NoQuery, UpdateServiceAccountRequest) -> ServiceAccount,
                  [organization: OrgAdmin], change UPDATE_SERVICE_ACCOUNT, "Update a service account" }
                { DeleteServiceAccount, delete_service_account, "Service Accounts", Delete "/api/v1/service-accounts/{id}",
                  (IdPath, NoQuery, NoBody) -> ServiceAccount,
                  [organization: OrgAdmin], change DELETE_SERVICE_ACCOUNT, "Delete a service account and its keys" }

                { ListApiKeys, list_api_keys, "API Keys", Get "/api/v1/api-keys",
                  (NoPath, ListApiKeysQuery, NoBody) -> ListApiKeysResponse,
                  [organization: OrgAdmin, ClusterAdmin, Auditor], read, "List API keys" }
                { CreateApiKey, create_api_key, "API Keys", Post "/api/v1/api-keys",
                  (NoPath, NoQuery, CreateApiKeyRequest) -> CreateApiKeyResponse,
                  [organization: OrgAdmin], change CREATE_API_KEY, "Create an API key; its secret is shown once" }
                { GetApiKey, get_api_key, "API Keys", Get "/api/v1/api-keys/{id}",
                  (IdPath, NoQuery, NoBody) -> ApiKey,
                  [organization: OrgAdmin, ClusterAdmin, Auditor], read, "Get an API key" }
                { UpdateApiKey, update_api_key, "API Keys", Patch "/api/v1/api-keys/{id}",
                  (IdPath, NoQuery, UpdateApiKeyRequest) -> ApiKey,
                  [organization: OrgAdmin], change UPDATE_API_KEY, "Update an API key" }
                { DeleteApiKey, delete_api_key, "API Keys", Delete "/api/v1/api-keys/{id}",
                  (IdPath, NoQuery, NoBody) -> ApiKey,
                  [organization: OrgAdmin], change DELETE_API_KEY, "Delete an API key" }

                { ListRoleGrants, list_role_grants, "Role Management", Get "/api/v1/roles",
                  (NoPath, PageQuery, NoBody) -> ListRoleGrantsResponse,
                  [organization: OrgAdmin, ClusterAdmin, FolderAdmin, Auditor], read, "List role grants" }
                { GetAllRolesForUser, get_all_roles_for_user, "Role Management", Get "/api/v1/roles/{user_id}",
                  (UserPath, NoQuery, NoBody) -> GetAllRolesForUserResponse,
                  [organization: OrgAdmin, ClusterAdmin, FolderAdmin, Auditor], read, "Get the roles of a user or service account" }
                { SetRolesForUser, set_roles_for_user, "Role Management", Put "/api/v1/roles/{user_id}",
                  (UserPath, NoQuery, SetRolesForUserRequest) -> GetAllRolesForUserResponse,
                  [grantor], change ASSIGN_USER_ROLE, "Replace the roles of a user or service account" }
                { AddUserToRole, add_user_to_role, "Role Management", Post "/api/v1/roles/{user_id}/{resource_type}/{resource_id}/{role_name}",
                  (RolePath, NoQuery, NoBody) -> GetAllRolesForUserResponse,
                  [grantor], change ADD_USER_TO_ROLE, "Grant a role" }
                { RemoveUserFromRole, remove_user_from_role, "Role Management", Delete "/api/v1/roles/{user_id}/{resource_type}/{resource_id}/{role_name}",
                  (RolePath, NoQuery, NoBody) -> GetAllRolesForUserResponse,
                  [grantor], change REMOVE_USER_FROM_ROLE, "Revoke a role" }
                { GetPersonUsersByEmail, get_person_users_by_email, "Role Management", Get "/api/v1/users/persons-by-email",
                  (NoPath, PersonQuery, NoBody) -> GetPersonUsersByEmailResponse,
                  [organization: OrgAdmin, ClusterAdmin, FolderAdmin, Auditor], read, "Find a user by email address" }

                { ListAuditLogs, list_audit_logs, "Audit Logs", Get "/api/v1/auditlogevents",
                  (NoPath, ListAuditLogsQuery, NoBody) -> ListAuditLogsResponse,
                  [organization: OrgAdmin, ClusterAdmin, Auditor], read, "Export the audit log" }

                { GetGroups, get_groups, "SCIM", Get "/api/scim/v2/Groups",
                  (NoPath, ScimListQuery, NoBody) -> GetGroupsResponse,
                  [organization: OrgAdmin, Auditor], read, "List groups" }
                { CreateGroup, create_group, "SCIM", Post "/api/scim/v2/Groups",
                  (NoPath, NoQuery, CreateGroupRequest) -> ScimGroup,
                  [organization: OrgAdmin], change CREATE_GROUP, "Create a group" }
                { GetGroups2, get_groups2, "SCIM", Put "/api/scim/v2/Groups/.search",
                  (NoPath, NoQuery, GetGroupsRequest) -> GetGroupsResponse,
                  [organization: OrgAdmin, Auditor], read, "Search groups (older form)" }
                { SearchGroups, search_groups, "SCIM", Post "/api/scim/v2/Groups/.search",
                  (NoPath, NoQuery, GetGroupsRequest) -> GetGroupsResponse,
                  [organization: OrgAdmin, Auditor], read, "Search groups" }
                { GetGroup, get_group, "SCIM", Get "/api/scim/v2/Groups/{id}",
                  (IdPath, ScimShowQuery, NoBody) -> ScimGroup,
                  [organization: OrgAdmin, Auditor], read, "Get a group" }
                { UpdateGroup, update_group, "SCIM", Put "/api/scim/v2/Groups/{id}",
                  (IdPath, NoQuery, UpdateGroupBody) -> ScimGroup,
                  [organization: OrgAdmin], change UPDATE_GROUP, "Replace a group" }
                { PatchGroup, patch_group, "SCIM", Patch "/api/scim/v2/Groups/{id}",
                  (IdPath, NoQuery, PatchGroupBody) -> ScimGroup,
                  [organization: OrgAdmin], change UPDATE_GROUP, "Update parts of a group" }
                { DeleteGroup, delete_group, "SCIM", Delete "/api/scim/v2/Groups/{id}",
                  (IdPath, NoQuery, NoBody) -> ScimDeleted,
                  [organization: OrgAdmin], change DELETE_GROUP, "Delete a group" }
                { GetGroup2, get_group2, "SCIM", Put "/api/scim/v2/Groups/{id}/.search",
                  (IdPath, NoQuery, GetGroup2Body) -> ScimGroup,
                  [organization: OrgAdmin, Auditor], read, "Get selected attributes of a group (older form)" }
                { SearchGroup, search_group, "SCIM", Post "/api/scim/v2/Groups/{id}/.search",
                  (IdPath, NoQuery, SearchGroupBody) -> ScimGroup,
                  [organization: OrgAdmin, Auditor], read, "Get selected attributes of a group" }
                { GetResourceTypes, get_resource_types, "SCIM", Get "/api/scim/v2/ResourceTypes",
                  (NoPath, ScimShowQuery, NoBody) -> GetResourceTypesResponse,
                  [member], read, "List resource types" }
                { GetResourceType, get_resource_type, "SCIM", Get "/api/scim/v2/ResourceTypes/{resourceId}",
                  (ResourceTypePath, ScimShowQuery, NoBody) -> ScimResourceType,
                  [member], read, "Get a resource type" }
                { GetSchemas, get_schemas, "SCIM", Get "/api/scim/v2/Schemas",
                  (NoPath, ScimShowQuery, NoBody) -> GetSchemasResponse,
                  [member], read, "List schemas" }
                { GetSchema, get_schema, "SCIM", Get "/api/scim/v2/Schemas/{schemaId}",
                  (SchemaPath, ScimShowQuery, NoBody) -> ScimSchema,
                  [member], read, "Get a schema" }
                { GetServiceProviderConfig, get_service_provider_config, "SCIM", Get "/api/scim/v2/ServiceProviderConfig",
                  (NoPath, NoQuery, NoBody) -> GetServiceProviderConfigResponse,
                  [member], read, "Get the capabilities of the SCIM service" }
                { GetUsers, get_users, "SCIM", Get "/api/scim/v2/Users",
                  (NoPath, ScimListQuery, NoBody) -> GetUsersResponse,
                  [organization: OrgAdmin, Auditor], read, "List users" }
                { CreateUser, create_user, "SCIM", Post "/api/scim/v2/Users",
                  (NoPath, NoQuery, CreateUserRequest) -> ScimUser,
                  [organization: OrgAdmin], change CREATE_USER, "Create a user" }
                { GetUsers2, get_users2, "SCIM", Put "/api/scim/v2/Users/.search",
                  (NoPath, NoQuery, GetUsersRequest) -> GetUsersResponse,
                  [organization: OrgAdmin, Auditor], read, "Search users (older form)" }
                { SearchUsers, search_users, "SCIM", Post "/api/scim/v2/Users/.search",
                  (NoPath, NoQuery, GetUsersRequest) -> GetUsersResponse,
                  [organization: OrgAdmin, Auditor], read, "Search users" }
                { GetUser, get_user, "SCIM", Get "/api/scim/v2/Users/{id}",
                  (IdPath, ScimShowQuery, NoBody) -> ScimUser,
                  [organization: OrgAdmin, Auditor], read, "Get a user" }
                { UpdateUser, update_user, "SCIM", Put "/api/scim/v2/Users/{id}",
                  (IdPath, NoQuery, UpdateUserBody) -> ScimUser,
                  [organization: OrgAdmin], change UPDATE_USER, "Replace a user" }
                { PatchUser, patch_user, "SCIM", Patch "/api/scim/v2/Users/{id}",
                  (IdPath, NoQuery, PatchUserBody) -> ScimUser,
                  [organization: OrgAdmin], change UPDATE_USER, "Update parts of a user" }
                { DeleteUser, delete_user, "SCIM", Delete "/api/scim/v2/Users/{id}",
                  (IdPath, NoQuery, NoBody) -> ScimDeleted,
                  [organization: OrgAdmin], change DELETE_USER, "Delete a user" }
                { GetUser2, get_user2, "SCIM", Put "/api/scim/v2/Users/{id}/.search",
                  (IdPath, NoQuery, GetUser2Body) -> ScimUser,
                  [organization: OrgAdmin, Auditor], read, "Get selected attributes of a user (older form)" }
                { SearchUser, search_user, "SCIM", Post "/api/scim/v2/Users/{id}/.search",
                  (IdPath, NoQuery, SearchUserBody) -> ScimUser,
                  [organization: OrgAdmin, Auditor], read, "Get selected attributes of a user" }

                { ListJWTIssuers, list_jwt_issuers, "JWT Issuers", Get "/api/v1/jwt-issuers",
                  (NoPath, PageQuery, NoBody) -> ListJWTIssuersResponse,
                  [organization: OrgAdmin, Auditor], read, "List JWT issuers" }
                { AddJWTIssuer, add_jwt_issuer, "JWT Issuers", Post "/api/v1/jwt-issuers",
                  (NoPath, NoQuery, JWTIssuerRequest) -> JWTIssuer,
                  [organization: OrgAdmin], change ADD_JWT_ISSUER, "Create a JWT issuer" }
                { GetJWTIssuer, get_jwt_issuer, "JWT Issuers", Get "/api/v1/jwt-issuers/{id}",
                  (IdPath, NoQuery, NoBody) -> JWTIssuer,
                  [organization: OrgAdmin, Auditor], read, "Get a JWT issuer" }
                { UpdateJWTIssuer, update_jwt_issuer, "JWT Issuers", Patch "/api/v1/jwt-issuers/{id}",
                  (IdPath, NoQuery, JWTIssuerRequest) -> JWTIssuer,
                  [organization: OrgAdmin], change UPDATE_JWT_ISSUER, "Update a JWT issuer" }
                { DeleteJWTIssuer, delete_jwt_issuer, "JWT Issuers", Delete "/api/v1/jwt-issuers/{id}",
                  (IdPath, NoQuery, NoBody) -> JWTIssuer,
                  [organization: OrgAdmin], change DELETE_JWT_ISSUER, "Delete a JWT issuer" }

                { GetCurrentSession, get_current_session, "Ootheca: Sessions", Get "/api/ootheca/v1/session",
                  (NoPath, NoQuery, NoBody) -> CurrentSession,
                  [session], read, "Get the session of the caller" }
                { CreateSession, create_session, "Ootheca: Sessions", Post "/api/ootheca/v1/session",
                  (NoPath, NoQuery, CreateSessionRequest) -> CurrentSession,
                  [public], change USER_LOGIN, "Sign in" }
                { DeleteCurrentSession, delete_current_session, "Ootheca: Sessions", Delete "/api/ootheca/v1/session",
                  (NoPath, NoQuery, NoBody) -> Empty,
                  [session], change UPDATE_USER, "Sign out" }
                { ChangePassword, change_password, "Ootheca: Sessions", Put "/api/ootheca/v1/session/password",
                  (NoPath, NoQuery, ChangePasswordRequest) -> CurrentSession,
                  [session], change UPDATE_USER, "Change the password, and end every other session" }
                { ListSessions, list_sessions, "Ootheca: Sessions", Get "/api/ootheca/v1/sessions",
                  (NoPath, NoQuery, NoBody) -> ListSessionsResponse,
                  [session], read, "List the sessions of the caller" }
                { DeleteSession, delete_session, "Ootheca: Sessions", Delete "/api/ootheca/v1/sessions/{id}",
                  (IdPath, NoQuery, NoBody) -> Empty,
                  [member], change UPDATE_USER, "End a session of the caller, or, as ORG_ADMIN, of any user" }

                { ListPeople, list_people, "Ootheca: People", Get "/api/ootheca/v1/people",
                  (NoPath, NoQuery, NoBody) -> ListPeopleResponse,
                  [organization: OrgAdmin], read, "List users" }
                { DeletePerson, delete_person, "Ootheca: People", Delete "/api/ootheca/v1/people/{id}",
                  (IdPath, NoQuery, NoBody) -> Empty,
                  [organization: OrgAdmin], change DELETE_USER_FROM_ORGANIZATION, "Delete a user of the organization" }
                { ListInvitations, list_invitations, "Ootheca: People", Get "/api/ootheca/v1/invitations",
                  (NoPath, NoQuery, NoBody) -> ListInvitationsResponse,
                  [organization: OrgAdmin], read, "List invitations" }
                { CreateInvitation, create_invitation, "Ootheca: People", Post "/api/ootheca/v1/invitations",
                  (NoPath, NoQuery, CreateInvitationRequest) -> Invitation,
                  [organization: OrgAdmin], change INVITE_USER_TO_ORGANIZATION, "Invite a user" }
                { DeleteInvitation, delete_invitation, "Ootheca: People", Delete "/api/ootheca/v1/invitations/{id}",
                  (IdPath, NoQuery, NoBody) -> Empty,
                  [organization: OrgAdmin], change REVOKE_USER_INVITE, "Revoke an invitation" }

                { RunStatement, run_statement, "Ootheca: SQL Shell", Post "/api/ootheca/v1/clusters/{cluster_id}/sql",
                  (ClusterPath, NoQuery, RunStatementRequest) -> RunStatementResponse,
                  [cluster cluster_id: ClusterAdmin], change UPDATE_CLUSTER, "Run a SQL statement" }

                { ListSourceBackups, list_source_backups, "Ootheca: Backups", Get "/api/ootheca/v1/backups", (NoPath, ListSourceBackupsQuery, NoBody) -> ListBackupsResponse,
                  [visible: ClusterAdmin, ClusterOperatorWriter, Auditor], read, "List the backups of an existing or deleted cluster, newest first" }

                { GetClusterSamples, get_cluster_samples, "Ootheca: Samples", Get "/api/ootheca/v1/clusters/{cluster_id}/samples",
                  (ClusterPath, ClusterSamplesQuery, NoBody) -> ClusterSamples,
                  [cluster cluster_id: OrgAdmin, ClusterAdmin, ClusterOperatorWriter, ClusterDeveloper, FolderAdmin, FolderMover, MetricsViewer, ClusterMonitor, Auditor, ClusterDataAccessor], read, "Get the time series of a cluster" }
                { ListLatestSamples, list_latest_samples, "Ootheca: Samples", Get "/api/ootheca/v1/samples",
                  (NoPath, LatestSamplesQuery, NoBody) -> ListLatestSamplesResponse,
                  [member], read, "Get the latest sample of each of some clusters" }

                { GetClock, get_clock, "Ootheca: Test Clock", Get "/api/ootheca/v1/clock",
                  (NoPath, NoQuery, NoBody) -> Clock,
                  [organization: OrgAdmin], read, "Get the time of the test clock" }
                { AdvanceClock, advance_clock, "Ootheca: Test Clock", Post "/api/ootheca/v1/clock",
                  (NoPath, NoQuery, AdvanceClockRequest) -> Clock,
                  [organization: OrgAdmin], change SET_CLUSTER_SETTING, "Advance the test clock" }

                { WatchEvents, watch_events, "Ootheca: Events", Get "/api/v1/events",
                  (NoPath, WatchEventsQuery, NoBody) -> Event,
                  [member], stream, "Follow changes as server-sent events" }
            }
            later {
                { ListInvoices, later, "Billing", Get "/api/v1/invoices",
                  [organization: BillingCoordinator, ClusterAdmin], read, "List invoices" }
                { GetInvoice, later, "Billing", Get "/api/v1/invoices/{invoice_id}",
                  [organization: BillingCoordinator, ClusterAdmin], read, "Get an invoice" }

                { GetClientCACert, later, "Client CA Certificates", Get "/api/v1/clusters/{cluster_id}/client-ca-cert",
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter], read, "Get the certificate authority of clients" }
                { SetClientCACert, later body, "Client CA Certificates", Post "/api/v1/clusters/{cluster_id}/client-ca-cert",
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter], change SET_CLIENT_CA_CERT, "Set the certificate authority of clients" }
                { UpdateClientCACert, later body, "Client CA Certificates", Patch "/api/v1/clusters/{cluster_id}/client-ca-cert",
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter], change UPDATE_CLIENT_CA_CERT, "Replace the certificate authority of clients" }
                { DeleteClientCACert, later, "Client CA Certificates", Delete "/api/v1/clusters/{cluster_id}/client-ca-cert",
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter], change DELETE_CLIENT_CA_CERT, "Delete the certificate authority of clients" }

                { GetClusterDisruptionInfo, later, "Cluster Disruption", Get "/api/v1/clusters/{cluster_id}/disrupt",
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter], read, "Get the current disruption" }
                { UpdateClusterDisruption, later body, "Cluster Disruption", Put "/api/v1/clusters/{cluster_id}/disrupt",
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter], change UPDATE_CLUSTER_DISRUPTION, "Start or stop a disruption of a cluster" }

                { GetCMEKClusterInfo, later, "Customer-managed Encryption Keys", Get "/api/v1/clusters/{cluster_id}/cmek",
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter, Auditor], read, "Get the state of encryption keys" }
                { EnableCMEKSpec, later body, "Customer-managed Encryption Keys", Post "/api/v1/clusters/{cluster_id}/cmek",
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter], change UPDATE_CMEK, "Enable customer-managed encryption keys" }
                { UpdateCMEKSpec, later body, "Customer-managed Encryption Keys", Put "/api/v1/clusters/{cluster_id}/cmek",
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter], change UPDATE_CMEK, "Update the encryption keys" }
                { UpdateCMEKStatus, later body, "Customer-managed Encryption Keys", Patch "/api/v1/clusters/{cluster_id}/cmek",
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter], change REVOKE_CMEK, "Revoke the encryption keys" }

                { ListEgressPrivateEndpoints, later, "Egress Private Endpoints", Get "/api/v1/clusters/{cluster_id}/networking/egress-private-endpoints",
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter, ClusterDeveloper, Auditor], read, "List egress private endpoints" }
                { CreateEgressPrivateEndpoint, later body, "Egress Private Endpoints", Post "/api/v1/clusters/{cluster_id}/networking/egress-private-endpoints",
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter], change CREATE_EGRESS_PRIVATE_ENDPOINT, "Create an egress private endpoint" }
                { GetEgressPrivateEndpoint, later, "Egress Private Endpoints", Get "/api/v1/clusters/{cluster_id}/networking/egress-private-endpoints/{id}",
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter, ClusterDeveloper, Auditor], read, "Get an egress private endpoint" }
                { UpdateEgressPrivateEndpoint, later body, "Egress Private Endpoints", Patch "/api/v1/clusters/{cluster_id}/networking/egress-private-endpoints/{id}",
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter], change UPDATE_EGRESS_PRIVATE_ENDPOINT, "Update an egress private endpoint" }
                { DeleteEgressPrivateEndpoint, later, "Egress Private Endpoints", Delete "/api/v1/clusters/{cluster_id}/networking/egress-private-endpoints/{id}",
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter], change DELETE_EGRESS_PRIVATE_ENDPOINT, "Delete an egress private endpoint" }
                { UpdateEgressPrivateEndpointDomainNames, later body, "Egress Private Endpoints", Patch "/api/v1/clusters/{cluster_id}/networking/egress-private-endpoints/{id}/domain-names",
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter], change UPDATE_EGRESS_PRIVATE_ENDPOINT, "Update domain names (older form)" }

                { ListEgressRules, later, "Egress Rules", Get "/api/v1/clusters/{cluster_id}/networking/egress-rules",
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter, Auditor], read, "List egress rules" }
                { AddEgressRule, later body, "Egress Rules", Post "/api/v1/clusters/{cluster_id}/networking/egress-rules",
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter], change ADD_EGRESS_RULE, "Create an egress rule" }
                { SetEgressTrafficPolicy, later body, "Egress Rules", Post "/api/v1/clusters/{cluster_id}/networking/egress-rules/egress-traffic-policy",
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter], change SET_EGRESS_TRAFFIC_POLICY, "Allow or deny egress without a rule" }
                { GetEgressRule, later, "Egress Rules", Get "/api/v1/clusters/{cluster_id}/networking/egress-rules/{rule_id}",
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter, Auditor], read, "Get an egress rule" }
                { EditEgressRule, later body, "Egress Rules", Patch "/api/v1/clusters/{cluster_id}/networking/egress-rules/{rule_id}",
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter], change EDIT_EGRESS_RULE, "Update an egress rule" }
                { DeleteEgressRule, later, "Egress Rules", Delete "/api/v1/clusters/{cluster_id}/networking/egress-rules/{rule_id}",
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter], change DELETE_EGRESS_RULE, "Delete an egress rule" }

                { GetLogExportInfo, later, "Log Export", Get "/api/v1/clusters/{cluster_id}/logexport",
                  [cluster cluster_id: OrgAdmin, ClusterAdmin, ClusterOperatorWriter, MetricsViewer, Auditor], read, "Get the log export" }
                { EnableLogExport, later body, "Log Export", Post "/api/v1/clusters/{cluster_id}/logexport",
                  [cluster cluster_id: OrgAdmin, ClusterAdmin, ClusterOperatorWriter], change UPDATE_CLUSTER_LOG_EXPORT, "Create or update the log export" }
                { DeleteLogExport, later, "Log Export", Delete "/api/v1/clusters/{cluster_id}/logexport",
                  [cluster cluster_id: OrgAdmin, ClusterAdmin, ClusterOperatorWriter], change DELETE_CLUSTER_LOG_EXPORT, "Delete the log export" }

                { GetCloudWatchMetricExportInfo, later, "Metric Export", Get "/api/v1/clusters/{cluster_id}/metricexport/cloudwatch",
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter, MetricsViewer, Auditor], read, "Get the metric export to CloudWatch" }
                { EnableCloudWatchMetricExport, later body, "Metric Export", Post "/api/v1/clusters/{cluster_id}/metricexport/cloudwatch",
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter], change UPDATE_CLUSTER_METRIC_EXPORT, "Create the metric export to CloudWatch" }
                { DeleteCloudWatchMetricExport, later, "Metric Export", Delete "/api/v1/clusters/{cluster_id}/metricexport/cloudwatch",
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter], change DELETE_CLUSTER_METRIC_EXPORT, "Delete the metric export to CloudWatch" }
                { GetDatadogMetricExportInfo, later, "Metric Export", Get "/api/v1/clusters/{cluster_id}/metricexport/datadog",
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter, MetricsViewer, Auditor], read, "Get the metric export to Datadog" }
                { EnableDatadogMetricExport, later body, "Metric Export", Post "/api/v1/clusters/{cluster_id}/metricexport/datadog",
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter], change UPDATE_CLUSTER_METRIC_EXPORT, "Create the metric export to Datadog" }
                { DeleteDatadogMetricExport, later, "Metric Export", Delete "/api/v1/clusters/{cluster_id}/metricexport/datadog",
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter], change DELETE_CLUSTER_METRIC_EXPORT, "Delete the metric export to Datadog" }
                { GetPrometheusMetricExportInfo, later, "Metric Export", Get "/api/v1/clusters/{cluster_id}/metricexport/prometheus",
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter, MetricsViewer, Auditor], read, "Get the metrics endpoint" }
                { EnablePrometheusMetricExport, later, "Metric Export", Post "/api/v1/clusters/{cluster_id}/metricexport/prometheus",
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter], change UPDATE_CLUSTER_METRIC_EXPORT, "Enable the metrics endpoint" }
                { DeletePrometheusMetricExport, later, "Metric Export", Delete "/api/v1/clusters/{cluster_id}/metricexport/prometheus",
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter], change DELETE_CLUSTER_METRIC_EXPORT, "Disable the metrics endpoint" }

                { ListPhysicalReplicationStreams, later, "Physical Cluster Replication", Get "/api/v1/physical-replication-streams",
                  [visible: ClusterAdmin, ClusterOperatorWriter, ClusterDeveloper], read, "List replication streams" }
                { CreatePhysicalReplicationStream, later body, "Physical Cluster Replication", Post "/api/v1/physical-replication-streams",
                  [visible: ClusterAdmin], change CREATE_PHYSICAL_REPLICATION_STREAM, "Replicate one cluster to another" }
                { GetPhysicalReplicationStream, later, "Physical Cluster Replication", Get "/api/v1/physical-replication-streams/{id}",
                  [visible: ClusterAdmin, ClusterOperatorWriter, ClusterDeveloper], read, "Get a replication stream" }
                { UpdatePhysicalReplicationStream, later body, "Physical Cluster Replication", Patch "/api/v1/physical-replication-streams/{id}",
                  [visible: ClusterAdmin], change FAILOVER_PHYSICAL_REPLICATION_STREAM, "Fail over or cancel a replication stream" }

                { ListAwsEndpointConnections, later, "Private Endpoint Services", Get "/api/v1/clusters/{cluster_id}/networking/aws-endpoint-connections",
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter, ClusterDeveloper, Auditor], read, "List endpoint connections on AWS" }
                { SetAwsEndpointConnectionState, later body, "Private Endpoint Services", Patch "/api/v1/clusters/{cluster_id}/networking/aws-endpoint-connections/{endpoint_id}",
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter], change ACCEPT_PRIVATE_LINK, "Accept or reject an endpoint connection on AWS" }
                { ListPrivateEndpointConnections, later, "Private Endpoint Services", Get "/api/v1/clusters/{cluster_id}/networking/private-endpoint-connections",
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter, ClusterDeveloper, Auditor], read, "List private endpoint connections" }
                { AddPrivateEndpointConnection, later body, "Private Endpoint Services", Post "/api/v1/clusters/{cluster_id}/networking/private-endpoint-connections",
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter], change ACCEPT_PRIVATE_LINK, "Accept a private endpoint connection" }
                { DeletePrivateEndpointConnection, later, "Private Endpoint Services", Delete "/api/v1/clusters/{cluster_id}/networking/private-endpoint-connections/{endpoint_id}",
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter], change REJECT_PRIVATE_LINK, "Delete a private endpoint connection" }
                { ListPrivateEndpointServices, later, "Private Endpoint Services", Get "/api/v1/clusters/{cluster_id}/networking/private-endpoint-services",
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter, ClusterDeveloper, Auditor], read, "List private endpoint services" }
                { CreatePrivateEndpointServices, later, "Private Endpoint Services", Post "/api/v1/clusters/{cluster_id}/networking/private-endpoint-services",
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter], change CREATE_PRIVATE_LINK, "Create the private endpoint services" }
                { ListPrivateEndpointTrustedOwners, later, "Private Endpoint Services", Get "/api/v1/clusters/{cluster_id}/networking/private-endpoint-trusted-owners",
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter, Auditor], read, "List trusted owners of private endpoints" }
                { AddPrivateEndpointTrustedOwner, later body, "Private Endpoint Services", Post "/api/v1/clusters/{cluster_id}/networking/private-endpoint-trusted-owners",
                  [cluster cluster_id: ClusterAdmin], change ADD_PRIVATE_ENDPOINT_TRUSTED_OWNER, "Add a trusted owner of private endpoints" }
                { GetPrivateEndpointTrustedOwner, later, "Private Endpoint Services", Get "/api/v1/clusters/{cluster_id}/networking/private-endpoint-trusted-owners/{owner_id}",
                  [cluster cluster_id: ClusterAdmin, ClusterOperatorWriter, Auditor], read, "Get a trusted owner" }
                { RemovePrivateEndpointTrustedOwner, later, "Private Endpoint Services", Delete "/api/v1/clusters/{cluster_id}/networking/private-endpoint-trusted-owners/{owner_id}",
                  [cluster cluster_id: ClusterAdmin], change REMOVE_PRIVATE_ENDPOINT_TRUSTED_OWNER, "Remove a trusted owner" }
            }
        }
    };
}
