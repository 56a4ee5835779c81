//! Microsoft Entra ID: discovery documents, token requests and answers.
